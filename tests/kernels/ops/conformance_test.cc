#include <gtest/gtest.h>

#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

absl::Status RunCase(const OpCase& op, OpSet& ops, Operands& operands) {
  absl::Status status = op.forward(ops, operands);
  if (status.ok() && op.backward) status = op.backward(ops, operands);
  return status;
}

class ConformanceTest : public ::testing::TestWithParam<OpCase> {
 protected:
  // Every written operand of the CPU op in `type` against the reference in
  // double. Outputs held NaN before, so an element left out shows.
  void Compare(DType type, double tolerance) {
    const OpCase& op = GetParam();
    OpSet reference = ReferenceOps();
    OpSet cpu = CpuOps(2);
    Operands expected(op.operands, DType::kF64);
    Operands actual(op.operands, type);
    ASSERT_EQ(RunCase(op, reference, expected), absl::OkStatus());
    ASSERT_EQ(RunCase(op, cpu, actual), absl::OkStatus());
    for (const Operand& operand : op.operands) {
      EXPECT_LE(RelativeRms(actual.Values(operand.name),
                            expected.Values(operand.name)),
                tolerance)
          << operand.name;
    }
    EXPECT_TRUE(actual.GapsUntouched());
    EXPECT_TRUE(expected.GapsUntouched());
  }
};

TEST_P(ConformanceTest, F64MatchesReference) { Compare(DType::kF64, 1e-10); }

TEST_P(ConformanceTest, F32MatchesReference) { Compare(DType::kF32, 1e-5); }

TEST_P(ConformanceTest, ThreadCountDoesNotChangeBits) {
  const OpCase& op = GetParam();
  for (DType type : {DType::kF32, DType::kF64}) {
    OpSet one = CpuOps(1);
    Operands expected(op.operands, type);
    ASSERT_EQ(RunCase(op, one, expected), absl::OkStatus());
    for (int threads : {2, 3}) {
      OpSet several = CpuOps(threads);
      Operands actual(op.operands, type);
      ASSERT_EQ(RunCase(op, several, actual), absl::OkStatus());
      for (const Operand& operand : op.operands) {
        EXPECT_EQ(actual.Values(operand.name), expected.Values(operand.name))
            << operand.name << " with " << threads << " threads";
      }
    }
  }
}

TEST_P(ConformanceTest, ReferenceInF32MatchesF64) {
  const OpCase& op = GetParam();
  OpSet reference = ReferenceOps();
  Operands expected(op.operands, DType::kF64);
  Operands actual(op.operands, DType::kF32);
  ASSERT_EQ(RunCase(op, reference, expected), absl::OkStatus());
  ASSERT_EQ(RunCase(op, reference, actual), absl::OkStatus());
  for (const Operand& operand : op.operands) {
    EXPECT_LE(
        RelativeRms(actual.Values(operand.name), expected.Values(operand.name)),
        1e-5)
        << operand.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, ConformanceTest, ::testing::ValuesIn(OpCases()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

INSTANTIATE_TEST_SUITE_P(FeatureMaps, ConformanceTest,
                         ::testing::ValuesIn(FeatureMapCases()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

INSTANTIATE_TEST_SUITE_P(BiasedConvolutions, ConformanceTest,
                         ::testing::ValuesIn(BiasedConvolutionCases()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

INSTANTIATE_TEST_SUITE_P(TokenGates, ConformanceTest,
                         ::testing::ValuesIn(TokenGateCases()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

}  // namespace
}  // namespace longspan::kernels
