#include "kernels/cpu/instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace longspan::kernels {
namespace {

InstructionSet SupportedSet() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 &&
                      __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512vl") != 0;
  if (avx2 && avx512) return InstructionSet::kAvx512;
  if (avx2) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

InstructionSet ChooseSet() {
  const InstructionSet supported = SupportedSet();
  const char* wanted = std::getenv("LONGSPAN_INSTRUCTION_SET");
  if (wanted == nullptr) return supported;
  for (InstructionSet set : {InstructionSet::kBaseline, InstructionSet::kAvx2,
                             InstructionSet::kAvx512}) {
    if (std::strcmp(wanted, InstructionSetName(set)) == 0) {
      return std::min(set, supported);
    }
  }
  return supported;
}

}  // namespace

InstructionSet BestInstructionSet() {
  static const InstructionSet set = ChooseSet();
  return set;
}

const char* InstructionSetName(InstructionSet set) {
  switch (set) {
    case InstructionSet::kBaseline:
      return "baseline";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
  }
  return "unknown";
}

}  // namespace longspan::kernels
