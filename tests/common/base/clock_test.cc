#include "common/base/clock.h"

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

TEST(SystemClockTest, MonotonicNeverGoesBack) {
  absl::Duration last = SystemClock::Get().Monotonic();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = SystemClock::Get().Monotonic();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SystemClockTest, NowIsTheWallClock) {
  const absl::Time before = absl::Now();
  const absl::Time now = SystemClock::Get().Now();
  EXPECT_GE(now, before);
  EXPECT_LE(now, absl::Now());
}

}  // namespace
}  // namespace longspan
