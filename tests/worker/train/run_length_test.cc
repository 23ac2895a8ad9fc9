#include "worker/train/run_length.h"

#include <gtest/gtest.h>

namespace longspan::worker {
namespace {

TEST(RunLengthTest, BoundedBySteps) {
  const RunLength length = {.steps = 10};
  EXPECT_TRUE(length.bounded());
  EXPECT_DOUBLE_EQ(length.Fraction(5, 1e9), 0.5);
  EXPECT_FALSE(length.Ended(9, 1e9, 1.0));
  EXPECT_TRUE(length.Ended(10, 0.0, 1.0));
}

TEST(RunLengthTest, BoundedByTimeEndsBeforeTheStepThatWouldExceedIt) {
  const RunLength length = {.max_duration = absl::Seconds(60)};
  EXPECT_DOUBLE_EQ(length.Fraction(1000000, 15.0), 0.25);
  EXPECT_DOUBLE_EQ(length.Fraction(1, 90.0), 1.0);
  EXPECT_FALSE(length.Ended(1000000, 50.0, 5.0));
  EXPECT_TRUE(length.Ended(3, 58.0, 5.0));
}

TEST(RunLengthTest, WhicheverComesFirst) {
  const RunLength length = {.steps = 10, .max_duration = absl::Seconds(60)};
  EXPECT_DOUBLE_EQ(length.Fraction(5, 6.0), 0.5);
  EXPECT_DOUBLE_EQ(length.Fraction(1, 45.0), 0.75);
  EXPECT_TRUE(length.Ended(10, 0.0, 0.0));
  EXPECT_TRUE(length.Ended(1, 61.0, 0.0));
}

TEST(RunLengthTest, WithoutABound) {
  EXPECT_FALSE(RunLength().bounded());
  EXPECT_FALSE(RunLength().Ended(1000000, 1e9, 1.0));
  EXPECT_DOUBLE_EQ(RunLength().Fraction(1000000, 1e9), 0.0);
}

}  // namespace
}  // namespace longspan::worker
