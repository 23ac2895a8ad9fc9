#include "worker/executor/pending_replies.h"

#include <gtest/gtest.h>

#include <thread>

namespace longspan::worker {
namespace {

TEST(PendingRepliesTest, AnswersMayComeInAnyOrder) {
  PendingReplies pending;
  const int64_t a = pending.Open();
  const int64_t b = pending.Open();
  std::thread answerer([&] {
    pending.Deliver(b, std::string("for b"));
    pending.Deliver(a, std::string("for a"));
  });
  EXPECT_EQ(pending.Wait(a, absl::Seconds(10)).value(), "for a");
  EXPECT_EQ(pending.Wait(b, absl::Seconds(10)).value(), "for b");
  answerer.join();
}

TEST(PendingRepliesTest, ADeadlineEndsTheWaitAndLaterAnswersAreIgnored) {
  PendingReplies pending;
  const int64_t id = pending.Open();
  EXPECT_EQ(pending.Wait(id, absl::Milliseconds(1)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  pending.Deliver(id, std::string("late"));
  pending.Deliver(77, std::string("never asked"));
}

TEST(PendingRepliesTest, TheEndAnswersEverybody) {
  PendingReplies pending;
  const int64_t before = pending.Open();
  std::thread ender(
      [&] { pending.FailAll(absl::UnavailableError("socket closed")); });
  EXPECT_EQ(pending.Wait(before, absl::Seconds(10)).status().code(),
            absl::StatusCode::kUnavailable);
  ender.join();
  EXPECT_EQ(pending.Wait(pending.Open(), absl::Seconds(10)).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace longspan::worker
