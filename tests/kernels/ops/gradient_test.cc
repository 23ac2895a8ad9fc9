// Backward ops against central differences of their forward ops, in double on
// the reference backend; the CPU backend is tied to it by conformance_test.cc.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

// Every difference runs the op twice, so only the small cases take part.
bool IsSmall(const OpCase& op) {
  int64_t elements = 0;
  for (const Operand& operand : op.operands) {
    int64_t count = 1;
    for (int64_t size : operand.shape) count *= size;
    elements += count;
  }
  return elements <= 1500;
}

std::vector<OpCase> DifferentiableCases() {
  std::vector<OpCase> cases;
  for (const auto& part : {OpCases(), BiasedConvolutionCases(),
                           FeatureMapCases(), TokenGateCases()}) {
    for (const OpCase& op : part) {
      if (op.backward && IsSmall(op)) cases.push_back(op);
    }
  }
  return cases;
}

class GradientTest : public ::testing::TestWithParam<OpCase> {
 protected:
  std::string SeedOf(const std::string& output) const {
    const auto found = GetParam().seeds.find(output);
    return found == GetParam().seeds.end() ? "d_" + output : found->second;
  }

  // sum over outputs of seed * output, from fresh operands in which element
  // `index` of `input` is moved by `step`.
  double Loss(const std::string& input, int64_t index, double step) {
    const OpCase& op = GetParam();
    Operands operands(op.operands, DType::kF64);
    operands.Set(input, index, operands.Values(input)[index] + step);
    EXPECT_EQ(op.forward(ops_, operands), absl::OkStatus());
    double loss = 0.0;
    for (const Operand& operand : op.operands) {
      const std::string seed = SeedOf(operand.name);
      const bool input_gradient = operand.role == Role::kInput;
      if (input_gradient || !operands.has(seed)) continue;
      const std::vector<double> seeds = operands.Values(seed);
      const std::vector<double> values = operands.Values(operand.name);
      for (size_t i = 0; i < values.size(); ++i) loss += seeds[i] * values[i];
    }
    return loss;
  }

  std::vector<double> Differences(const std::string& input, int64_t count) {
    constexpr double kStep = 1e-5;
    std::vector<double> gradient;
    for (int64_t i = 0; i < count; ++i) {
      const double up = Loss(input, i, kStep);
      gradient.push_back((up - Loss(input, i, -kStep)) / (2 * kStep));
    }
    return gradient;
  }

  OpSet ops_ = ReferenceOps();
};

TEST_P(GradientTest, BackwardMatchesCentralDifferences) {
  const OpCase& op = GetParam();
  const Operands before(op.operands, DType::kF64);
  Operands after(op.operands, DType::kF64);
  ASSERT_EQ(op.forward(ops_, after), absl::OkStatus());
  ASSERT_EQ(op.backward(ops_, after), absl::OkStatus());
  int checked = 0;
  for (const Operand& operand : op.operands) {
    const std::string gradient = "d_" + operand.name;
    if (operand.role != Role::kInput || !after.has(gradient)) continue;
    std::vector<double> actual = after.Values(gradient);
    for (const Operand& target : op.operands) {
      if (target.name != gradient || target.role != Role::kAccumulated) {
        continue;
      }
      const std::vector<double> start = before.Values(gradient);
      for (size_t i = 0; i < actual.size(); ++i) actual[i] -= start[i];
    }
    const auto count = static_cast<int64_t>(actual.size());
    EXPECT_LE(RelativeRms(actual, Differences(operand.name, count)), 1e-6)
        << gradient;
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

INSTANTIATE_TEST_SUITE_P(Ops, GradientTest,
                         ::testing::ValuesIn(DifferentiableCases()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

}  // namespace
}  // namespace longspan::kernels
