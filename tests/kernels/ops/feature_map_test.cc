// The identities that define the feature maps, apart from their formulas, and
// what they refuse.
#include "kernels/api/feature_map.h"

#include <cmath>
#include <memory>
#include <vector>

#include "common/base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

using ::testing::HasSubstr;
using Numbers = std::vector<double>;

TensorView HeadOf(Numbers& numbers) {
  const auto size = static_cast<int64_t>(numbers.size());
  return {numbers.data(), DType::kF64, {1, 1, size}};
}

Numbers NormalHead(int64_t size, uint32_t stream) {
  Numbers x(size);
  const RandomKey key{11, RandomPurpose::kTest, stream};
  for (int64_t i = 0; i < size; ++i) x[i] = RandomNormal(key, i);
  return x;
}

double Dot(const Numbers& a, const Numbers& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

class FeatureMapTest : public ::testing::TestWithParam<bool> {
 protected:
  OpSet ops_ = GetParam() ? CpuOps(1) : ReferenceOps();

  Numbers Map(FeatureMapInputs inputs, Numbers x, int64_t rows = 0) {
    inputs.x = HeadOf(x);
    Numbers y(FeatureCount(inputs.kind, inputs.x.size(2), rows), NAN);
    EXPECT_EQ(ops_.feature_maps->Map(inputs, HeadOf(y), *ops_.stream),
              absl::OkStatus());
    return y;
  }
};

TEST_P(FeatureMapTest, TaylorIsTheSecondOrderOfExp) {
  for (int64_t d : {1, 3, 16}) {
    const Numbers q = NormalHead(d, 1);
    const Numbers k = NormalHead(d, 2);
    const double s = Dot(q, k) / std::sqrt(static_cast<double>(d));
    const FeatureMapInputs map = {.kind = FeatureMapKind::kTaylor};
    EXPECT_NEAR(Dot(Map(map, q), Map(map, k)), 1 + s + s * s / 2, 1e-12) << d;
  }
}

TEST_P(FeatureMapTest, QuadraticIsTheSquareOfTheProduct) {
  constexpr int64_t kDim = 8;
  Numbers weight = NormalHead(kDim, 3);
  Numbers bias = NormalHead(kDim, 4);
  FeatureMapInputs map = {.kind = FeatureMapKind::kQuadratic};
  map.weight = ConstTensorView(weight.data(), DType::kF64, {kDim});
  map.bias = ConstTensorView(bias.data(), DType::kF64, {kDim});
  map.epsilon = 0.0;
  const auto normed = [&](const Numbers& x) {
    double mean = 0.0;
    double square = 0.0;
    for (double v : x) mean += v / kDim;
    for (double v : x) square += (v - mean) * (v - mean) / kDim;
    Numbers y(kDim);
    for (int64_t i = 0; i < kDim; ++i) {
      y[i] = (x[i] - mean) / std::sqrt(square) * weight[i] + bias[i];
    }
    return y;
  };
  const Numbers q = NormalHead(kDim, 1);
  const Numbers k = NormalHead(kDim, 2);
  const double product = Dot(normed(q), normed(k));
  EXPECT_NEAR(Dot(Map(map, q), Map(map, k)), product * product / kDim, 1e-12);
}

// With W = 1 the published variants differ only in how they normalise.
TEST_P(FeatureMapTest, HedgehogVariantsSumAsTheySay) {
  constexpr int64_t kDim = 4;
  Numbers unit(kDim * kDim, 0.0);
  for (int64_t i = 0; i < kDim; ++i) unit[i * kDim + i] = 1.0;
  const Numbers x = NormalHead(kDim, 5);
  const auto features = [&](FeatureMapKind kind) {
    FeatureMapInputs map = {.kind = kind};
    map.weight = ConstTensorView(unit.data(), DType::kF64, {kDim, kDim});
    return Map(map, x, kDim);
  };
  const Numbers ones(2 * kDim, 1.0);
  EXPECT_NEAR(Dot(features(FeatureMapKind::kHedgehogSoftmax), ones), 1, 1e-12);
  EXPECT_NEAR(Dot(features(FeatureMapKind::kHedgehogHalves), ones), 2, 1e-12);
  const Numbers exponential = features(FeatureMapKind::kHedgehogExp);
  const Numbers joint = features(FeatureMapKind::kHedgehogSoftmax);
  for (int64_t i = 0; i < kDim; ++i) {
    EXPECT_NEAR(exponential[i], std::exp(x[i]), 1e-12);
    EXPECT_NEAR(exponential[i] * exponential[kDim + i], 1, 1e-12);
    EXPECT_NEAR(std::log(joint[i] / joint[kDim + i]), 4 * x[i], 1e-12);
  }
}

// The numbers of fla's DPFPFeatureMap for x = (1, -2), written out by hand.
TEST_P(FeatureMapTest, DpfpRollsAsFlaDoes) {
  const Numbers y = Map({.kind = FeatureMapKind::kDpfp}, {1, -2});
  // z = (1, 0, -1, 0); only shifts of 2 and 4 meet non-zero numbers.
  EXPECT_THAT(y, ::testing::ElementsAre(0, 0, 0, 0, -1, 0, -1, 0, 0, 0, 0, 0, 1,
                                        0, 1, 0));
}

TEST_P(FeatureMapTest, EluIsPositiveAndContinuous) {
  const Numbers y =
      Map({.kind = FeatureMapKind::kEluPlusOne}, {-30, -1e-9, 0, 1e-9, 2});
  EXPECT_NEAR(y[0], std::exp(-30.0), 1e-24);
  EXPECT_NEAR(y[1], 1 - 1e-9, 1e-15);
  EXPECT_EQ(y[2], 1);
  EXPECT_NEAR(y[3], 1 + 1e-9, 1e-15);
  EXPECT_EQ(y[4], 3);
}

TEST_P(FeatureMapTest, RefusesWhatItCannotMap) {
  Numbers x(32);
  Numbers y(561);
  FeatureMapInputs taylor = {.kind = FeatureMapKind::kTaylor};
  taylor.x = HeadOf(x);
  const absl::Status many =
      ops_.feature_maps->Map(taylor, HeadOf(y), *ops_.stream);
  EXPECT_EQ(many.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(many.message()),
              HasSubstr("taylor makes 561 features of 32"));
  FeatureMapInputs hedgehog = {.kind = FeatureMapKind::kHedgehogExp};
  hedgehog.x = HeadOf(x);
  const absl::Status bare =
      ops_.feature_maps->Map(hedgehog, HeadOf(y), *ops_.stream);
  EXPECT_THAT(std::string(bare.message()), HasSubstr("weight is missing"));
}

INSTANTIATE_TEST_SUITE_P(Backends, FeatureMapTest, ::testing::Bool(),
                         [](const auto& info) {
                           return std::string(info.param ? "cpu" : "reference");
                         });

}  // namespace
}  // namespace longspan::kernels
