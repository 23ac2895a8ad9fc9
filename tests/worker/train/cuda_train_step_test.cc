// Training on the CUDA backend follows the CPU's: the real kernels and the real
// host side, on the emulator, whose device memory no host code may touch.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/model_gang/model_gang.h"
#include "worker/train/train_step.h"

namespace longspan::testing {
namespace {

using kernels::BackendKind;
using kernels::DType;
using kernels::TensorView;

constexpr int64_t kTokens = 97;  // no multiple of a chunk
constexpr int kSteps = 4;        // eager, recorded, and two replays

ModelSpec Hybrid() {
  ModelSpec spec;
  spec.vocabulary_size = 64;
  spec.hidden_size = 64;
  spec.layer_count = 2;
  spec.layer_pattern = "LN";
  spec.linear.mixer = LinearMixer::kSimpleGla;
  spec.linear.heads = 2;
  spec.softmax.heads = 2;
  return ResolveDefaults(spec);
}

struct Course {
  std::vector<double> losses;
  std::vector<double> norms;
  int64_t high_water = 0;
  int64_t planned = 0;
};

Course Train(BackendKind backend, DType dtype) {
  GangCase c = MakeGangCase(Hybrid(), 1, kTokens);
  c.backend = backend;
  c.dtype = dtype;
  Course course;
  course.planned =
      PlanMemory(c.spec, ShapeOf(c, RunMode::kTrain, RangesOf(c, 1), 0))
          .arena_bytes;
  RankFixture rank(c, nullptr, course.planned, true);
  const auto shard = worker::SequenceShard::Split({.tokens = kTokens}, 1, 0);
  auto step = worker::TrainStep::Create(rank.context(), &rank.model(),
                                        &rank.parameters(), {});
  EXPECT_TRUE(step.ok()) << step.status();
  for (int i = 0; step.ok() && i < kSteps; ++i) {
    const auto result = (*step)->Run(
        {&*shard, TensorView(c.ids.data(), DType::kI32, {kTokens}),
         TensorView(c.targets.data(), DType::kI32, {kTokens}), kTokens},
        3e-3);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) break;
    course.losses.push_back(result->loss);
    course.norms.push_back(result->update.gradient_norm);
  }
  course.high_water = rank.arena().high_water();
  return course;
}

void ExpectFollows(DType dtype, double loss_tolerance, double norm_tolerance) {
  const Course cpu = Train(BackendKind::kCpu, DType::kF32);
  const Course cuda = Train(BackendKind::kCuda, dtype);
  ASSERT_EQ(cuda.losses.size(), cpu.losses.size());
  for (size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(cuda.losses[i], cpu.losses[i], loss_tolerance * cpu.losses[0])
        << "step " << i;
    EXPECT_NEAR(cuda.norms[i], cpu.norms[i], norm_tolerance * cpu.norms[i])
        << "step " << i;
  }
  // Positions lie outside the arena on a device.
  EXPECT_LE(cuda.high_water, cuda.planned);
  EXPECT_GE(cuda.high_water, cuda.planned - 8 * kTokens - 64);
}

// f32 operands of attention are held as two bf16 parts: 2^-16 each.
TEST(CudaTrainStepTest, F32FollowsTheCpu) {
  ExpectFollows(DType::kF32, 1e-4, 1e-3);
}

// As tests/worker/train/mixed_precision_test.cc derives it.
TEST(CudaTrainStepTest, Bf16FollowsTheCpu) {
  ExpectFollows(DType::kBF16, 5e-3, 1.4e-2);
}

}  // namespace
}  // namespace longspan::testing
