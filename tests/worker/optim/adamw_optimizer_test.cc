#include "worker/optim/adamw_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/api/host_memory.h"
#include "kernels/reference/reference_ops.h"

namespace longspan::worker {
namespace {

using kernels::DType;
using kernels::TensorView;
using ::testing::HasSubstr;

class NullStream : public kernels::Stream {
 public:
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

// A matrix [2, 2] that decays and a vector [2] that does not.
class AdamWOptimizerTest : public ::testing::Test {
 protected:
  OptimizedParameter Parameter(const char* name, int64_t begin, int64_t count,
                               bool decays) {
    const auto view = [&](std::vector<double>& buffer) {
      return TensorView(buffer.data() + begin, DType::kF64, {count});
    };
    return {name,         view(values_), view(gradients_),
            view(first_), view(second_), decays};
  }

  AdamWOptimizer Create(double clip_norm) {
    AdamWSettings settings;
    settings.weight_decay = 0.5;
    settings.clip_norm = clip_norm;
    auto optimizer = AdamWOptimizer::Create(
        {Parameter("matrix", 0, 4, true), Parameter("vector", 4, 2, false)},
        settings, kernels::BackendKind::kReference, *ops_, memory_, stream_);
    EXPECT_EQ(optimizer.status(), absl::OkStatus());
    return *std::move(optimizer);
  }

  // One update at learning rate 0.25.
  UpdateResult Update(AdamWOptimizer& optimizer) {
    float rate = 0.25f;
    int64_t step = optimizer.next_step();
    EXPECT_EQ(optimizer.Submit({TensorView(&rate, DType::kF32, {1}),
                                TensorView(&step, DType::kI64, {1}),
                                TensorView(&sum_, DType::kF64, {1}),
                                TensorView(&clip_, DType::kF32, {1})}),
              absl::OkStatus());
    return optimizer.Finish(sum_);
  }

  double sum_ = 0.0;
  float clip_ = 0.0f;
  std::vector<double> values_ = {1, 2, 3, 4, 5, 6};
  std::vector<double> gradients_ = {2, -2, 2, -2, 2, -2};
  std::vector<double> first_ = std::vector<double>(6, 0.0);
  std::vector<double> second_ = std::vector<double>(6, 0.0);
  std::unique_ptr<kernels::Optimizer> ops_ =
      kernels::CreateReferenceOptimizer();
  kernels::HostMemory memory_;
  NullStream stream_;
};

TEST_F(AdamWOptimizerTest, FirstUpdateMovesBySignAndDecaysMatrices) {
  AdamWOptimizer optimizer = Create(0.0);
  const UpdateResult result = Update(optimizer);
  EXPECT_EQ(sum_, 24.0);
  EXPECT_DOUBLE_EQ(result.gradient_norm, std::sqrt(24.0));
  // Bias-corrected, the first update is the gradient's sign.
  EXPECT_NEAR(values_[0], 1.0 - 0.25 * (1.0 + 0.5 * 1.0), 1e-8);
  EXPECT_NEAR(values_[3], 4.0 - 0.25 * (-1.0 + 0.5 * 4.0), 1e-8);
  EXPECT_NEAR(values_[4], 5.0 - 0.25, 1e-8);
  EXPECT_EQ(optimizer.updates(), 1);
}

TEST_F(AdamWOptimizerTest, ClipsByTheGlobalNorm) {
  AdamWOptimizer optimizer = Create(std::sqrt(24.0) / 4);
  EXPECT_DOUBLE_EQ(Update(optimizer).clip_factor, 0.25);
  EXPECT_EQ(clip_, 0.25f);
  EXPECT_NEAR(first_[0], 0.1 * 2.0 / 4, 1e-8);
}

TEST_F(AdamWOptimizerTest, SkipsAndCountsNonFiniteSteps) {
  AdamWOptimizer optimizer = Create(1.0);
  gradients_[3] = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> before = values_;
  EXPECT_TRUE(Update(optimizer).skipped);
  EXPECT_TRUE(std::isnan(clip_));
  EXPECT_EQ(values_, before);
  EXPECT_EQ(first_, std::vector<double>(6, 0.0));
  EXPECT_EQ(optimizer.updates(), 0);
  EXPECT_EQ(optimizer.skipped(), 1);
}

TEST_F(AdamWOptimizerTest, RestoredOptimizerContinuesBitExactly) {
  AdamWOptimizer straight = Create(1.0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_FALSE(Update(straight).skipped);
  }
  const auto saved = std::vector{values_, first_, second_};
  ASSERT_FALSE(Update(straight).skipped);
  const auto expected = values_;

  // Assign into the buffers that the views look at.
  std::copy(saved[0].begin(), saved[0].end(), values_.begin());
  std::copy(saved[1].begin(), saved[1].end(), first_.begin());
  std::copy(saved[2].begin(), saved[2].end(), second_.begin());
  AdamWOptimizer resumed = Create(1.0);
  resumed.Restore(2, 0);
  ASSERT_FALSE(Update(resumed).skipped);
  EXPECT_EQ(values_, expected);
}

TEST_F(AdamWOptimizerTest, RefusesMismatchedViewsByName) {
  OptimizedParameter parameter = Parameter("layers.0.weight", 0, 4, true);
  parameter.gradient = parameter.gradient.Slice(0, 0, 3);
  const auto optimizer =
      AdamWOptimizer::Create({parameter}, {}, kernels::BackendKind::kReference,
                             *ops_, memory_, stream_);
  EXPECT_EQ(optimizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(optimizer.status().message()),
              HasSubstr("layers.0.weight"));
}

}  // namespace
}  // namespace longspan::worker
