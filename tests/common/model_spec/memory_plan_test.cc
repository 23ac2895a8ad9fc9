// Sums and proportions; that the worker allocates exactly this is tested with
// the model (tests/worker/model/plan_test.cc).
#include "common/model_spec/memory_plan.h"

#include "common/model_spec/parameter_layout.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

ModelSpec Linear() {
  ModelSpec spec;
  spec.hidden_size = 64;
  spec.layer_count = 2;
  spec.layer_pattern = "L";
  spec.linear.heads = 4;
  return ResolveDefaults(spec);
}

MemoryPlan PlanFor(const ModelSpec& spec, RunMode mode, int64_t tokens,
                   int ranks) {
  RunShape shape;
  shape.mode = mode;
  shape.ranges = *SplitTokens(tokens, ranks);
  shape.carries_state = mode != RunMode::kTrain;
  shape.context_tokens = tokens;
  return PlanMemory(spec, shape);
}

TEST(MemoryPlanTest, TrainingKeepsParametersGradientsAndMoments) {
  const int64_t bytes = 4 * LayoutParameters(Linear()).total;
  const MemoryPlan plan = PlanFor(Linear(), RunMode::kTrain, 512, 2);
  EXPECT_EQ(plan.parameter_bytes, bytes);
  EXPECT_EQ(plan.gradient_bytes, bytes + 16 * 4);
  EXPECT_EQ(plan.moment_bytes, 2 * bytes);
  EXPECT_EQ(plan.transport_bytes, plan.gradient_bytes);
  EXPECT_EQ(plan.state_bytes, 0);
  EXPECT_EQ(plan.total_bytes(), plan.parameter_bytes + plan.gradient_bytes +
                                    plan.moment_bytes + plan.transport_bytes +
                                    plan.input_bytes + plan.arena_bytes);
}

TEST(MemoryPlanTest, ActivationsShrinkWithRanks) {
  const double one = PlanFor(Linear(), RunMode::kTrain, 65536, 1).arena_bytes;
  const double four = PlanFor(Linear(), RunMode::kTrain, 65536, 4).arena_bytes;
  EXPECT_NEAR(one / four, 4.0, 0.1);
  const double longer =
      PlanFor(Linear(), RunMode::kTrain, 4 * 65536, 4).arena_bytes;
  EXPECT_NEAR(longer / one, 1.0, 0.01);
}

TEST(MemoryPlanTest, ForwardAloneKeepsOneLayer) {
  ModelSpec deep = Linear();
  deep.layer_count = 12;
  EXPECT_EQ(PlanFor(deep, RunMode::kEvaluate, 4096, 2).arena_bytes,
            PlanFor(Linear(), RunMode::kEvaluate, 4096, 2).arena_bytes);
  EXPECT_GT(PlanFor(deep, RunMode::kTrain, 4096, 2).arena_bytes,
            4 * PlanFor(deep, RunMode::kEvaluate, 4096, 2).arena_bytes);
}

TEST(MemoryPlanTest, LinearStatesDoNotGrowWithTheText) {
  EXPECT_EQ(PlanFor(Linear(), RunMode::kGenerate, 512, 2).state_bytes,
            PlanFor(Linear(), RunMode::kGenerate, 262144, 2).state_bytes);
  ModelSpec softmax = Linear();
  softmax.layer_pattern = "N";
  EXPECT_EQ(PlanFor(softmax, RunMode::kGenerate, 262144, 2).state_bytes,
            512 * PlanFor(softmax, RunMode::kGenerate, 512, 2).state_bytes);
}

}  // namespace
}  // namespace longspan
