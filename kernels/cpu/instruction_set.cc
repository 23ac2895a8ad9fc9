#include "kernels/cpu/instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

#if defined(__x86_64__) && defined(__linux__)
bool ProcessorHasBf16Tiles() {
  constexpr unsigned kAvx512Bf16 = 1u << 5;         // leaf 7.1, EAX
  constexpr unsigned kTiles = 1u << 22 | 1u << 24;  // leaf 7.0, EDX
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0) return false;
  if ((a & kAvx512Bf16) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return (d & kTiles) == kTiles;
}

// Tile data enlarges what the kernel saves for each thread, so a process asks
// for it: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
bool GrantsTiles() {
  constexpr int kRequestPermission = 0x1023;
  constexpr int kTileData = 18;
  return ProcessorHasBf16Tiles() &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#else
bool GrantsTiles() { return false; }
#endif

}  // namespace

bool HasBf16Tiles(InstructionSet set) {
  static const bool granted =
      SupportedSet() == InstructionSet::kAvx512 && GrantsTiles();
  return granted && set == InstructionSet::kAvx512;
}

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
