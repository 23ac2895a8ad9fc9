#include "worker/optim/gradient_clip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace longspan::worker {
namespace {

TEST(GradientClipTest, LeavesSmallNorms) {
  const ClipDecision decision = DecideClip(0.25, 1.0);
  EXPECT_EQ(decision.gradient_norm, 0.5);
  EXPECT_EQ(decision.clip_factor, 1.0);
  EXPECT_FALSE(decision.skip);
}

TEST(GradientClipTest, ScalesLargeNormsToTheLimit) {
  const ClipDecision decision = DecideClip(16.0, 1.0);
  EXPECT_EQ(decision.clip_factor, 0.25);
}

TEST(GradientClipTest, ZeroMeansNever) {
  EXPECT_EQ(DecideClip(1e20, 0.0).clip_factor, 1.0);
}

TEST(GradientClipTest, SkipsWhatIsNotFinite) {
  EXPECT_TRUE(DecideClip(std::nan(""), 1.0).skip);
  EXPECT_TRUE(DecideClip(std::numeric_limits<double>::infinity(), 0.0).skip);
}

}  // namespace
}  // namespace longspan::worker
