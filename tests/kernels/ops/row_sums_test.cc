// Parameter gradients that are sums over many rows: with terms of one sign a
// sum in f32 alone is wrong in the fourth digit.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kRows = 1 << 19;
constexpr float kTerm = 0.1f;
constexpr double kTolerance = 1e-5 * kTerm * kRows;

// Rows of one number.
struct Column {
  explicit Column(float value) : numbers(kRows, value) {}
  TensorView Rows() { return {numbers.data(), DType::kF32, {kRows, 1}}; }
  TensorView Heads() { return {numbers.data(), DType::kF32, {kRows, 1, 1}}; }

  std::vector<float> numbers;
};

struct Number {
  TensorView Vector() { return {&value, DType::kF32, {1}}; }
  TensorView Matrix() { return {&value, DType::kF32, {1, 1}}; }

  float value = 0.0f;
};

TEST(RowSumsTest, RmsNormWeight) {
  OpSet ops = CpuOps(2);
  Column x(1.0f), rstd(1.0f), d_y(kTerm), d_x(0.0f);
  Number weight = {1.0f}, d_weight;
  const HostTensor workspace = HostTensor::Workspace(
      RmsNormBackwardWorkspaceBytes(kRows, 1, 4, BackendKind::kCpu, 2));
  ASSERT_EQ(
      ops.elementwise->RmsNormBackward(
          {x.Rows(), weight.Vector(), {}, 1e-6},
          TensorView(rstd.numbers.data(), DType::kF32, {kRows}), d_y.Rows(),
          {d_x.Rows(), d_weight.Vector(), {}}, workspace.view(), *ops.stream),
      absl::OkStatus());
  EXPECT_NEAR(d_weight.value, kTerm * kRows, kTolerance);
}

// (1 x + 0) (1 x + 0) of x = 1: every parameter's terms are d_y.
TEST(RowSumsTest, FeatureMapParameters) {
  OpSet ops = CpuOps(2);
  Column x(1.0f), d_y(kTerm), d_x(0.0f);
  Number weight = {1.0f}, second_weight = {1.0f}, bias, second_bias;
  Number d_weight, d_second_weight, d_bias, d_second_bias;
  FeatureMapInputs inputs = {.kind = FeatureMapKind::kHadamard,
                             .x = x.Heads(),
                             .weight = weight.Matrix(),
                             .bias = bias.Vector(),
                             .second_weight = second_weight.Matrix(),
                             .second_bias = second_bias.Vector()};
  const HostTensor workspace = HostTensor::Workspace(
      FeatureMapBackwardWorkspaceBytes(kRows, 4, 4, BackendKind::kCpu));
  ASSERT_EQ(ops.feature_maps->MapBackward(
                inputs, d_y.Heads(),
                {d_x.Heads(), d_weight.Matrix(), d_bias.Vector(),
                 d_second_weight.Matrix(), d_second_bias.Vector()},
                workspace.view(), *ops.stream),
            absl::OkStatus());
  for (const Number& sum : {d_weight, d_bias, d_second_weight, d_second_bias}) {
    EXPECT_NEAR(sum.value, kTerm * kRows, kTolerance);
  }
}

}  // namespace
}  // namespace longspan::kernels
