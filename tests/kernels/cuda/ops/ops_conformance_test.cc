// Every case of tests/kernels/ops on the kernels of the CUDA backend, against
// the reference in double.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/kernels/cuda/ops/cuda_op_set.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels {
namespace {

class CudaOpsTest : public ::testing::TestWithParam<OpCase> {
 protected:
  // Outputs and workspaces held NaN before, so an element left out shows.
  void Compare(const std::vector<Operand>& operands, double tolerance) {
    const OpCase& op = GetParam();
    OpSet reference = ReferenceOps();
    OpSet cuda = EmulatedCudaOps();
    Operands actual(operands, DType::kF32);
    Operands expected(op.operands, DType::kF64);
    for (const Operand& operand : op.operands) {
      if (operand.role == Role::kOutput) continue;
      const std::vector<double> rounded = actual.Values(operand.name);
      for (size_t i = 0; i < rounded.size(); ++i) {
        expected.Set(operand.name, static_cast<int64_t>(i), rounded[i]);
      }
    }
    ASSERT_EQ(RunCase(op, reference, expected), absl::OkStatus());
    ASSERT_EQ(RunCase(op, cuda, actual), absl::OkStatus());
    for (const Operand& operand : op.operands) {
      EXPECT_LE(RelativeRms(actual.Values(operand.name),
                            expected.Values(operand.name)),
                tolerance)
          << operand.name;
    }
    EXPECT_TRUE(actual.GapsUntouched());
  }
};

TEST_P(CudaOpsTest, F32MatchesReference) { Compare(GetParam().operands, 1e-5); }

TEST_P(CudaOpsTest, Bf16MatchesReference) {
  Compare(Bf16Operands(GetParam()), 5e-3);
}

// Small cases of the kernels whose threads meet.
class CudaOpsOrderTest : public ::testing::TestWithParam<OpCase> {};

bool HasSmallMeeting(const OpCase& op) {
  int64_t elements = 0;
  for (const Operand& operand : op.operands) {
    int64_t count = 1;
    for (int64_t size : operand.shape) count *= size;
    elements += count;
  }
  if (elements > 4000) return false;
  for (const char* name : {"RmsNorm", "LogSigmoidGate", "Embed", "CrossEntropy",
                           "ShortConvolution", "SumOfSquares", "AdamW",
                           "Sample_random", "Sample_ties"}) {
    if (absl::StartsWith(op.name, name)) return true;
  }
  return false;
}

std::vector<OpCase> SmallMeetings() {
  std::vector<OpCase> cases;
  for (const OpCase& op : OpCases()) {
    if (HasSmallMeeting(op)) cases.push_back(op);
  }
  return cases;
}

TEST_P(CudaOpsOrderTest, OrderOfWarpsDoesNotChangeBits) {
  const OpCase& op = GetParam();
  const std::vector<Operand> operands = Bf16Operands(op);
  OpSet cuda = EmulatedCudaOps();
  Operands expected(operands, DType::kF32);
  ASSERT_EQ(RunCase(op, cuda, expected), absl::OkStatus());
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    cuda::emulated::EmulatorOptions options = cuda::emulated::CurrentOptions();
    options.seed = seed;
    const cuda::emulated::ScopedEmulatorOptions scope(options);
    Operands actual(operands, DType::kF32);
    ASSERT_EQ(RunCase(op, cuda, actual), absl::OkStatus());
    for (const Operand& operand : operands) {
      ASSERT_EQ(actual.Values(operand.name), expected.Values(operand.name))
          << operand.name << " with seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, CudaOpsOrderTest,
                         ::testing::ValuesIn(SmallMeetings()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

INSTANTIATE_TEST_SUITE_P(Ops, CudaOpsTest, ::testing::ValuesIn(OpCases()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

}  // namespace
}  // namespace longspan::kernels
