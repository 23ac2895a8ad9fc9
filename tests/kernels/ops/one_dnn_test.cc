#include <dnnl.h>
#include <gtest/gtest.h>

#include "kernels/cpu/instruction_set.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

// Otherwise the instruction set that a checkpoint records would not be the one
// that made its bits.
TEST(OneDnnTest, IsHeldToOurInstructionSet) {
  const OpSet ops = CpuOps(1);
  const dnnl_cpu_isa_t effective = dnnl_get_effective_cpu_isa();
  switch (BestInstructionSet()) {
    case InstructionSet::kBaseline:
      EXPECT_EQ(effective, dnnl_cpu_isa_sse41);
      return;
    case InstructionSet::kAvx2:
      EXPECT_EQ(effective, dnnl_cpu_isa_avx2);
      return;
    case InstructionSet::kAvx512:
      EXPECT_EQ(effective, dnnl_cpu_isa_avx512_core);
      return;
  }
}

}  // namespace
}  // namespace longspan::kernels
