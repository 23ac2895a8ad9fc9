// A model with bf16 activations beside f32 sums follows the one in double: on
// the reference backend, so that what is tested is the worker's choice of types
// and not a kernel.
#include <cmath>
#include <vector>

#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "worker/train/train_step.h"

namespace longspan::testing {
namespace {

using kernels::BackendKind;
using kernels::DType;
using kernels::TensorView;

constexpr int64_t kTokens = 70;

ModelSpec Hybrid() {
  ModelSpec spec;
  spec.vocabulary_size = 32;
  spec.hidden_size = 32;
  spec.layer_count = 2;
  spec.layer_pattern = "LN";
  spec.linear.mixer = LinearMixer::kSimpleGla;
  spec.linear.heads = 2;
  spec.softmax.heads = 2;
  return ResolveDefaults(spec);
}

GangCase Case(DType dtype) {
  GangCase c = MakeGangCase(Hybrid(), 1, kTokens);
  c.dtype = dtype;
  c.backend = BackendKind::kReference;
  return c;
}

// |a - b| / |b|.
double RelativeDistance(const std::vector<double>& a,
                        const std::vector<double>& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

// A rounding to bf16 moves a number by at most 2^-9 of itself, 2^-10 on
// average; some 50 of them follow each other from a token to a gradient, and
// errors of different origin add like a random walk: 50^0.5 * 2^-9 = 1.4 %.
constexpr double kTolerance = 0.014;

class MixedPrecisionTest : public ::testing::TestWithParam<int> {};

TEST_P(MixedPrecisionTest, LossAndGradientsFollowDouble) {
  const GangResult narrow = TrainOnce(Case(DType::kBF16), GetParam());
  const GangResult exact = TrainOnce(Case(DType::kF64), 1);
  EXPECT_NEAR(narrow.loss, exact.loss, 1e-3 * exact.loss);
  EXPECT_LT(RelativeDistance(narrow.hidden, exact.hidden), kTolerance);
  const double gradients = RelativeDistance(narrow.gradients, exact.gradients);
  EXPECT_LT(gradients, kTolerance);
  EXPECT_GT(gradients, 1e-4) << "nothing was rounded to bf16";
  for (const RankReport& rank : narrow.ranks) {
    EXPECT_EQ(rank.arena_high_water, rank.plan.arena_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, MixedPrecisionTest, ::testing::Values(1, 2));

std::vector<double> Losses(DType dtype) {
  GangCase c = Case(dtype);
  const auto ranges = RangesOf(c, 1);
  RankFixture rank(
      c, nullptr,
      PlanMemory(c.spec, ShapeOf(c, RunMode::kTrain, ranges, 0)).arena_bytes,
      true);
  const auto shard = worker::SequenceShard::Split({.tokens = kTokens}, 1, 0);
  auto step = worker::TrainStep::Create(rank.context(), &rank.model(),
                                        &rank.parameters(), {});
  std::vector<double> losses;
  for (int i = 0; i < 6; ++i) {
    const auto result = (*step)->Run(
        {&*shard, TensorView(c.ids.data(), DType::kI32, {kTokens}),
         TensorView(c.targets.data(), DType::kI32, {kTokens}), kTokens},
        3e-3);
    EXPECT_TRUE(result.ok()) << result.status();
    losses.push_back(result.ok() ? result->loss : NAN);
  }
  return losses;
}

// The optimiser writes the bf16 copy that the next step multiplies with: the
// loss falls as it does in double.
TEST(MixedPrecisionStepTest, TrainingFollowsDouble) {
  const std::vector<double> narrow = Losses(DType::kBF16);
  const std::vector<double> exact = Losses(DType::kF64);
  for (size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(narrow[i], exact[i], 5e-3 * exact[0]) << "step " << i;
  }
  EXPECT_LT(exact.back(), 0.95 * exact.front());
}

}  // namespace
}  // namespace longspan::testing
