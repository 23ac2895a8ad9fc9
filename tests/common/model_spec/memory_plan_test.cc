// Sums and proportions; that the worker allocates exactly this is tested with
// the model (tests/worker/model/plan_test.cc).
#include "common/model_spec/memory_plan.h"

#include <vector>

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

// The arena is made for the longest piece of a text, so a shorter one may
// never need more.
TEST(MemoryPlanTest, AShorterPieceFitsTheArenaOfALongerOne) {
  ModelSpec hybrid = Linear();
  hybrid.layer_pattern = "LN";
  hybrid.softmax.window = 16;
  hybrid = ResolveDefaults(hybrid);
  for (RunMode mode :
       {RunMode::kTrain, RunMode::kEvaluate, RunMode::kGenerate}) {
    for (int ranks : {1, 3}) {
      for (int threads : {1, 4}) {
        for (const ModelSpec& spec : {Linear(), hybrid}) {
          std::vector<int64_t> needed(ranks, 0);
          for (int64_t tokens = ranks; tokens < 3000;
               tokens += 1 + tokens / 20) {
            for (int rank = 0; rank < ranks; ++rank) {
              RunShape shape;
              shape.mode = mode;
              shape.ranges = *SplitTokens(tokens, ranks);
              shape.rank = rank;
              shape.threads = threads;
              shape.carries_state = mode != RunMode::kTrain;
              shape.context_tokens = 4000;
              const int64_t bytes = PlanMemory(spec, shape).arena_bytes;
              EXPECT_GE(bytes, needed[rank])
                  << tokens << " tokens, rank " << rank << " of " << ranks
                  << ", " << threads << " threads";
              needed[rank] = bytes;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace longspan
