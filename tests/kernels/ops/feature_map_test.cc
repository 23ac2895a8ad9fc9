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
  // z = (1, 0, 0, 2); shifts of 1, 3 and 4 bring non-zero numbers together.
  EXPECT_THAT(y, ::testing::ElementsAre(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1,
                                        0, 0, 4));
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

// In f32 exp(88.5) is finite and exp(89) is not: features must not stop growing
// between them, or a model that diverges looks as if it did not.
TEST_P(FeatureMapTest, HedgehogExpOverflowsToInfinity) {
  float x = 0.0f;
  float one = 1.0f;
  float y[2] = {};
  FeatureMapInputs map = {.kind = FeatureMapKind::kHedgehogExp};
  map.x = ConstTensorView(&x, DType::kF32, {1, 1, 1});
  map.weight = ConstTensorView(&one, DType::kF32, {1, 1});
  const auto features = [&](float value) {
    x = value;
    EXPECT_EQ(ops_.feature_maps->Map(map, TensorView(y, DType::kF32, {1, 1, 2}),
                                     *ops_.stream),
              absl::OkStatus());
    return Numbers{y[0], y[1]};
  };
  const Numbers high = features(88.5f);
  EXPECT_NEAR(high[0] / std::exp(88.5), 1, 1e-5);
  EXPECT_NEAR(high[1] * std::exp(88.5), 1, 1e-5);
  EXPECT_EQ(features(89.0f)[0], INFINITY);
  EXPECT_EQ(features(-500.0f)[1], INFINITY);
}

class FeatureMapNanTest : public ::testing::TestWithParam<OpCase> {
 protected:
  // Which of `name`'s numbers that belong to head `head` are NaN.
  static int64_t CountNans(const Operands& t, const std::string& name,
                           int64_t head) {
    const int64_t size = t[name].size(2);
    const Numbers numbers = t.Values(name);
    int64_t count = 0;
    for (int64_t i = 0; i < size; ++i) {
      count += std::isnan(numbers[head * size + i]) ? 1 : 0;
    }
    return count;
  }

  // Calls body(ops, operands) with every backend and type; the numbers of head
  // 1 are above 0, where every map has a slope.
  template <typename Body>
  void ForEach(const Body& body) {
    for (const bool cpu : {false, true}) {
      for (const DType type : {DType::kF32, DType::kF64}) {
        SCOPED_TRACE(std::string(cpu ? "cpu " : "reference ") +
                     DTypeName(type));
        OpSet ops = cpu ? CpuOps(1) : ReferenceOps();
        Operands operands(GetParam().operands, type);
        const int64_t size = operands["x"].size(2);
        for (int64_t i = 0; i < size; ++i) {
          operands.Set("x", size + i, 1.0 + 0.125 * static_cast<double>(i));
        }
        body(ops, operands);
      }
    }
  }
};

TEST_P(FeatureMapNanTest, ANanOfTheInputStaysVisibleInItsHeadAlone) {
  ForEach([&](OpSet& ops, Operands& t) {
    t.Set("x", t["x"].size(2), NAN);
    ASSERT_EQ(GetParam().forward(ops, t), absl::OkStatus());
    EXPECT_GT(CountNans(t, "y", 1), 0);
    EXPECT_EQ(CountNans(t, "y", 0), 0);
    EXPECT_EQ(CountNans(t, "y", 2), 0);
  });
}

TEST_P(FeatureMapNanTest, ANanOfTheGradientStaysVisibleInItsHeadAlone) {
  ForEach([&](OpSet& ops, Operands& t) {
    const int64_t size = t["d_y"].size(2);
    for (int64_t i = 0; i < size; ++i) t.Set("d_y", size + i, NAN);
    ASSERT_EQ(GetParam().backward(ops, t), absl::OkStatus());
    EXPECT_EQ(CountNans(t, "d_x", 1), t["x"].size(2));
    EXPECT_EQ(CountNans(t, "d_x", 0), 0);
    EXPECT_EQ(CountNans(t, "d_x", 2), 0);
  });
}

// With heads enough that one of them shares a vector with the others.
std::vector<OpCase> MapsOfManyHeads() {
  std::vector<OpCase> cases;
  for (const OpCase& op : FeatureMapCases()) {
    const bool map = op.name.rfind("FeatureMap_", 0) == 0;
    if (map && op.operands[0].shape[0] * op.operands[0].shape[1] > 2) {
      cases.push_back(op);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Maps, FeatureMapNanTest,
                         ::testing::ValuesIn(MapsOfManyHeads()),
                         [](const auto& info) {
                           return info.param.name + "_" +
                                  std::to_string(info.index);
                         });

INSTANTIATE_TEST_SUITE_P(Backends, FeatureMapTest, ::testing::Bool(),
                         [](const auto& info) {
                           return std::string(info.param ? "cpu" : "reference");
                         });

}  // namespace
}  // namespace longspan::kernels
