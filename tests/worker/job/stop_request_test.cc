#include "worker/job/stop_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace longspan::worker {
namespace {

using ::testing::HasSubstr;

TEST(StopRequestTest, TheFirstReasonWins) {
  StopRequest stop;
  EXPECT_FALSE(stop.requested());
  EXPECT_EQ(stop.reason(), "");
  stop.Request("cancelled by ana");
  stop.Request("SIGTERM");
  EXPECT_TRUE(stop.requested());
  EXPECT_EQ(stop.reason(), "cancelled by ana");
  EXPECT_EQ(stop.AsStatus().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(stop.AsStatus().message()),
              HasSubstr("cancelled by ana"));
}

TEST(StopRequestTest, AStopOfAnotherRankHasItsOwnWords) {
  const StopRequest stop;
  EXPECT_THAT(std::string(stop.AsStatus().message()),
              HasSubstr("on another rank"));
}

TEST(StopRequestTest, IsSeenWithItsReasonFromAnotherThread) {
  StopRequest stop;
  std::thread asker([&] { stop.Request("now"); });
  while (!stop.requested()) std::this_thread::yield();
  EXPECT_EQ(stop.reason(), "now");
  asker.join();
}

}  // namespace
}  // namespace longspan::worker
