#include "worker/collective/transfer_recorder.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock/fake_clock.h"

namespace longspan::worker {
namespace {

TEST(TransferRecorderTest, ExposedTimeIsThatOfItsScopes) {
  testing::FakeClock clock;
  TransferRecorder recorder(clock);
  const TrafficTag forward = {Traffic::kStateExchange, Direction::kForward, 0};
  const TrafficTag backward = {Traffic::kStateExchange, Direction::kBackward,
                               0};
  {
    const ExposedScope call(&recorder, forward);
    clock.Advance(absl::Seconds(1));
  }
  clock.Advance(absl::Seconds(10));  // compute
  {
    const ExposedScope wait(&recorder, forward);
    clock.Advance(absl::Seconds(2));
  }
  recorder.OnLaunch(backward);
  const TransferCounters counters = recorder.Snapshot();
  EXPECT_EQ(counters.at(forward).exposed_time, absl::Seconds(3));
  EXPECT_EQ(counters.at(backward).exposed_time, std::nullopt);
}

}  // namespace
}  // namespace longspan::worker
