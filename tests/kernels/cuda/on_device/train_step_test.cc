// Training on the device: the losses of the CPU, and the same bits every time.
// The first step runs op by op, the second is recorded, later ones replay it.
#include "worker/train/train_step.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/gpu_case/gpu_case.h"
#include "tests/support/model_gang/model_gang.h"

namespace longspan::testing {
namespace {

using kernels::BackendKind;
using kernels::DType;
using kernels::TensorView;

constexpr int kSteps = 4;

int64_t Tokens() { return Shapes() == ShapeSize::kLarge ? 3001 : 67; }

ModelSpec Hybrid() {
  ModelSpec spec;
  const bool large = Shapes() == ShapeSize::kLarge;
  spec.vocabulary_size = large ? 4099 : 64;
  spec.hidden_size = large ? 256 : 32;
  spec.layer_count = large ? 4 : 2;
  spec.layer_pattern = "LN";
  spec.linear.mixer = LinearMixer::kSimpleGla;
  spec.linear.heads = 2;
  spec.softmax.heads = 2;
  return ResolveDefaults(spec);
}

struct Course {
  std::vector<double> losses;
  std::vector<double> norms;
  std::vector<double> parameters;  // after the last step
};

Course Train(BackendKind backend, DType dtype) {
  const int64_t tokens = Tokens();
  GangCase c = MakeGangCase(Hybrid(), 1, tokens);
  c.backend = backend;
  c.dtype = dtype;
  c.seed = TestSeed();
  const int64_t arena_bytes =
      PlanMemory(c.spec, ShapeOf(c, RunMode::kTrain, RangesOf(c, 1), 0))
          .arena_bytes;
  RankFixture rank(c, nullptr, arena_bytes, true);
  const auto shard = worker::SequenceShard::Split({.tokens = tokens}, 1, 0);
  auto step = worker::TrainStep::Create(rank.context(), &rank.model(),
                                        &rank.parameters(), {});
  EXPECT_TRUE(step.ok()) << step.status();
  Course course;
  for (int i = 0; step.ok() && i < kSteps; ++i) {
    const auto result = (*step)->Run(
        {&*shard, TensorView(c.ids.data(), DType::kI32, {tokens}),
         TensorView(c.targets.data(), DType::kI32, {tokens}), tokens},
        1e-3);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) break;
    course.losses.push_back(result->loss);
    course.norms.push_back(result->update.gradient_norm);
  }
  course.parameters =
      ToDoubles(rank.parameters().values(), rank.parameters().transfer());
  return course;
}

void ExpectFollows(DType dtype, double loss_tolerance, double norm_tolerance) {
  SCOPED_TRACE("LONGSPAN_TEST_SEED=" + std::to_string(TestSeed()));
  const Course cpu = Train(BackendKind::kCpu, DType::kF32);
  const Course cuda = Train(BackendKind::kCuda, dtype);
  ASSERT_EQ(cuda.losses.size(), size_t{kSteps});
  for (int i = 0; i < kSteps; ++i) {
    EXPECT_NEAR(cuda.losses[i], cpu.losses[i], loss_tolerance * cpu.losses[0])
        << "step " << i;
    EXPECT_NEAR(cuda.norms[i], cpu.norms[i], norm_tolerance * cpu.norms[i])
        << "step " << i;
  }
  EXPECT_LT(cuda.losses.back(), cuda.losses.front());
}

// As tests/worker/train derives them.
TEST(TrainStepOnDevice, F32FollowsTheCpu) {
  ExpectFollows(DType::kF32, 1e-4, 1e-3);
}

TEST(TrainStepOnDevice, SmallBf16FollowsTheCpu) {
  ExpectFollows(DType::kBF16, 5e-3, 1.4e-2);
}

TEST(TrainStepOnDevice, BitIdenticalFromRunToRun) {
  const Course first = Train(BackendKind::kCuda, DType::kBF16);
  const Course second = Train(BackendKind::kCuda, DType::kBF16);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.norms, second.norms);
  EXPECT_EQ(first.parameters, second.parameters);
}

}  // namespace
}  // namespace longspan::testing
