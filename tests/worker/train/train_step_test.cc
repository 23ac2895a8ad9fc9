// Training on gangs of different sizes follows the same course.
#include "worker/train/train_step.h"

#include <cmath>
#include <vector>

#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/thread_world.h"

namespace longspan::testing {
namespace {

using kernels::DType;
using kernels::TensorView;

constexpr int kSteps = 50;
constexpr int64_t kStepTokens = 131;  // divided by no gang below

ModelSpec SmallHybrid() {
  ModelSpec spec;
  spec.vocabulary_size = 32;
  spec.hidden_size = 32;
  spec.layer_count = 3;
  spec.layer_pattern = "LNL";
  spec.linear.heads = 2;
  spec.softmax.heads = 2;
  return ResolveDefaults(spec);
}

// A text with something to learn: each token follows from the one before,
// with some noise.
std::vector<int32_t> Text(int step) {
  const RandomKey key = {3, RandomPurpose::kTest, static_cast<uint32_t>(step)};
  std::vector<int32_t> text = {static_cast<int32_t>(RandomBelow(key, 0, 32))};
  for (int64_t i = 1; i <= kStepTokens; ++i) {
    const auto noise = static_cast<int32_t>(RandomBelow(key, i, 4));
    text.push_back((text.back() * 5 + 3 + noise) % 32);
  }
  return text;
}

absl::Status Train(worker::ProcessGroup& group, std::vector<double>* losses,
                   std::vector<double>* parameters) {
  GangCase c = MakeGangCase(SmallHybrid(), 1, kStepTokens);
  c.dtype = DType::kF32;
  const auto ranges = RangesOf(c, group.size());
  RankFixture rank(
      c, &group,
      PlanMemory(c.spec, ShapeOf(c, RunMode::kTrain, ranges, group.rank()))
          .arena_bytes,
      true);
  ASSIGN_OR_RETURN(const worker::SequenceShard shard,
                   worker::SequenceShard::Split({.tokens = kStepTokens},
                                                group.size(), group.rank()));
  ASSIGN_OR_RETURN(auto step,
                   worker::TrainStep::Create(rank.context(), &rank.model(),
                                             &rank.parameters(), {}));
  for (int i = 0; i < kSteps; ++i) {
    std::vector<int32_t> text = Text(i);
    const int64_t begin = shard.range().begin;
    ASSIGN_OR_RETURN(
        const worker::TrainStepResult result,
        step->Run(
            {&shard, TensorView(&text[begin], DType::kI32, {shard.tokens()}),
             TensorView(&text[begin + 1], DType::kI32, {shard.tokens()}),
             kStepTokens},
            1e-3));
    if (group.rank() == 0) losses->push_back(result.loss);
  }
  const std::vector<double> mine = ToDoubles(rank.parameters().values());
  if (group.rank() == group.size() - 1) *parameters = mine;
  return absl::OkStatus();
}

std::vector<double> LossesOf(int ranks) {
  std::vector<double> losses, parameters;
  EXPECT_TRUE(RunThreadWorld(ranks, [&](worker::ProcessGroup& group) {
                return Train(group, &losses, &parameters);
              }).ok());
  return losses;
}

TEST(TrainStepTest, FirstFiftyLossesAgreeForOneToFourRanks) {
  const std::vector<double> one = LossesOf(1);
  ASSERT_EQ(one.size(), kSteps);
  EXPECT_NEAR(one.front(), std::log(32.0), 0.2);
  EXPECT_LT(one.back(), one.front() - 0.3);
  for (int ranks : {2, 3, 4}) {
    const std::vector<double> losses = LossesOf(ranks);
    ASSERT_EQ(losses.size(), one.size());
    for (int i = 0; i < kSteps; ++i) {
      EXPECT_NEAR(losses[i], one[i], 1e-5 * one[i])
          << "step " << i << " on " << ranks << " ranks";
    }
  }
}

TEST(TrainStepTest, RefusesABatchWithoutTargets) {
  GangCase c = MakeGangCase(SmallHybrid(), 1, 8);
  c.dtype = DType::kF32;
  RankFixture rank(c, nullptr, 1 << 20, true);
  auto step = worker::TrainStep::Create(rank.context(), &rank.model(),
                                        &rank.parameters(), {});
  ASSERT_TRUE(step.ok());
  EXPECT_EQ((*step)->Run({}, 1e-3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace longspan::testing
