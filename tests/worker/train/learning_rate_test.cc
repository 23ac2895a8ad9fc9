#include "worker/train/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace longspan::worker {
namespace {

TEST(LearningRateTest, WarmsUpLinearly) {
  const LearningRateSchedule schedule = {
      .peak = 2.0, .warmup_steps = 4, .decay = Decay::kConstant};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0, 0.0), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 3, 0.0), 2.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 400, 1.0), 2.0);
}

TEST(LearningRateTest, CosineAndLinearEndAtTheMinimum) {
  for (Decay decay : {Decay::kCosine, Decay::kLinear}) {
    const LearningRateSchedule schedule = {
        .peak = 1.0, .decay = decay, .min_ratio = 0.1};
    EXPECT_DOUBLE_EQ(LearningRate(schedule, 5, 0.0), 1.0);
    EXPECT_NEAR(LearningRate(schedule, 5, 0.5), 0.55, 1e-12);
    EXPECT_NEAR(LearningRate(schedule, 5, 1.0), 0.1, 1e-12);
    EXPECT_NEAR(LearningRate(schedule, 5, 1.7), 0.1, 1e-12);
  }
  const LearningRateSchedule cosine = {
      .peak = 1.0, .decay = Decay::kCosine, .min_ratio = 0.0};
  EXPECT_NEAR(LearningRate(cosine, 0, 0.25), 0.5 + 0.25 * std::sqrt(2.0),
              1e-12);
}

TEST(LearningRateTest, WsdIsConstantThenFallsWithTheRoot) {
  const LearningRateSchedule schedule = {
      .peak = 1.0, .decay = Decay::kWsd, .min_ratio = 0.0, .decay_ratio = 0.2};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0, 0.8), 1.0);
  EXPECT_NEAR(LearningRate(schedule, 0, 0.85), 0.5, 1e-12);
  EXPECT_NEAR(LearningRate(schedule, 0, 1.0), 0.0, 1e-12);
}

TEST(LearningRateTest, WsdWithoutADecayingPartIsConstant) {
  const LearningRateSchedule schedule = {
      .peak = 1.0, .decay = Decay::kWsd, .decay_ratio = 0.0};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0, 1.0), 1.0);
}

}  // namespace
}  // namespace longspan::worker
