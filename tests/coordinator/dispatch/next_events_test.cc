#include "coordinator/dispatch/next_events.h"

#include <gtest/gtest.h>

namespace longspan::coordinator {
namespace {

class NextEventsTest : public ::testing::Test {
 protected:
  NextEventsTest() {
    job_.name = MakeJobName("default", "a");
    job_.demand.ranks = 2;
    Attempt attempt;
    attempt.number = 1;
    attempt.epoch = 1;
    attempt.placements = {{0, "v", 0}, {1, "w", 0}};
    job_.attempts.push_back(attempt);
    job_.state = JobState::kStarting;
    gang_ = NewGang(job_, absl::ZeroDuration());
  }

  void Phases(RankPhase first, RankPhase second) {
    gang_.ranks[0].phase = first;
    gang_.ranks[1].phase = second;
  }

  std::string Next() {
    const Gang* gang = job_.LiveAttempt() == nullptr ? nullptr : &gang_;
    const auto event = NextEvent(job_, gang, now_, timeouts_);
    if (!event) return "";
    // Whatever is proposed must be allowed.
    EXPECT_TRUE(CanApply(&job_, {job_.name, now_.wall, *event}).ok());
    event_ = *event;
    return EventName(*event);
  }

  Job job_;
  Gang gang_;
  GangTime now_ = {absl::Seconds(1), absl::UnixEpoch()};
  GangTimeouts timeouts_;
  JobEventBody event_;
};

TEST_F(NextEventsTest, StartsWhenEveryRankIsPrepared) {
  Phases(RankPhase::kPrepared, RankPhase::kAssigned);
  EXPECT_EQ(NextMessage(job_, gang_), GangMessage::kNone);
  Phases(RankPhase::kPrepared, RankPhase::kPrepared);
  EXPECT_EQ(NextMessage(job_, gang_), GangMessage::kStart);
  gang_.start_sent = true;
  EXPECT_EQ(NextMessage(job_, gang_), GangMessage::kNone);
}

TEST_F(NextEventsTest, RunsWhenEveryRankRuns) {
  Phases(RankPhase::kRunning, RankPhase::kPrepared);
  EXPECT_EQ(Next(), "");
  Phases(RankPhase::kRunning, RankPhase::kSucceeded);
  gang_.ranks[1].resumed_step = 40;
  EXPECT_EQ(Next(), "AttemptRunning");
  EXPECT_EQ(std::get<AttemptRunning>(event_).resumed_step, 40);
}

TEST_F(NextEventsTest, SucceedsWhenEveryRankSucceeded) {
  job_.state = JobState::kRunning;
  Phases(RankPhase::kSucceeded, RankPhase::kRunning);
  EXPECT_EQ(Next(), "");
  Phases(RankPhase::kSucceeded, RankPhase::kSucceeded);
  gang_.ranks[0].result = "r";
  EXPECT_EQ(Next(), "JobSucceeded");
  EXPECT_EQ(*std::get<JobSucceeded>(event_).result, "r");
}

TEST_F(NextEventsTest, AnyBadEndFailsTheGang) {
  for (JobState state : {JobState::kStarting, JobState::kRunning}) {
    for (RankPhase phase :
         {RankPhase::kFailed, RankPhase::kLost, RankPhase::kStopped}) {
      job_.state = state;
      Phases(RankPhase::kRunning, phase);
      EXPECT_EQ(Next(), "RankFailed");
      EXPECT_EQ(std::get<RankFailed>(event_).rank, 1);
    }
  }
}

TEST_F(NextEventsTest, LateStartFails) {
  Phases(RankPhase::kRunning, RankPhase::kPrepared);
  now_.monotonic = timeouts_.start - absl::Seconds(1);
  EXPECT_EQ(Next(), "");
  now_.monotonic = timeouts_.start;
  EXPECT_EQ(Next(), "RankFailed");
  EXPECT_EQ(std::get<RankFailed>(event_).rank, 1);
  EXPECT_EQ(std::get<RankFailed>(event_).code,
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(NextEventsTest, RecoveringStopsThenEnds) {
  job_.state = JobState::kRecovering;
  job_.attempts[0].failures = {{1, absl::StatusCode::kInternal, "boom"}};
  Phases(RankPhase::kRunning, RankPhase::kFailed);
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(NextMessage(job_, gang_), GangMessage::kStop);
  gang_.stop_sent = true;
  EXPECT_EQ(NextMessage(job_, gang_), GangMessage::kNone);
  Phases(RankPhase::kStopped, RankPhase::kFailed);
  EXPECT_EQ(Next(), "AttemptEnded");
  EXPECT_EQ(std::get<AttemptEnded>(event_).reason, "rank 1: INTERNAL: boom");
}

TEST_F(NextEventsTest, CancellingEndsWithTheGang) {
  job_.state = JobState::kCancelling;
  job_.cancel_reason = "enough";
  Phases(RankPhase::kStopped, RankPhase::kRunning);
  EXPECT_EQ(Next(), "");
  Phases(RankPhase::kStopped, RankPhase::kLost);
  EXPECT_EQ(Next(), "AttemptEnded");
  EXPECT_EQ(std::get<AttemptEnded>(event_).reason, "cancelled: enough");
  job_.attempts[0].end_time = absl::UnixEpoch();
  EXPECT_EQ(Next(), "JobCancelled");
}

TEST_F(NextEventsTest, CancelThatCameTooLateIsSuccess) {
  job_.state = JobState::kCancelling;
  Phases(RankPhase::kSucceeded, RankPhase::kSucceeded);
  EXPECT_EQ(Next(), "JobSucceeded");
}

TEST_F(NextEventsTest, CrashLoopFailsWithTheCause) {
  job_.state = JobState::kRecovering;
  job_.attempts[0].end_time = absl::UnixEpoch();
  job_.attempts[0].end_reason = "rank 1: INTERNAL: boom";
  job_.failures_without_progress = 2;
  job_.recovering_since = now_.wall;
  EXPECT_EQ(Next(), "");
  job_.failures_without_progress = 3;
  EXPECT_EQ(Next(), "JobFailed");
  EXPECT_EQ(std::get<JobFailed>(event_).error,
            "rank 1: INTERNAL: boom (gave up after 3 attempts without a newer "
            "checkpoint)");
}

TEST_F(NextEventsTest, PermanentFailureIsNotTriedAgain) {
  job_.state = JobState::kRecovering;
  job_.attempts[0].end_time = absl::UnixEpoch();
  job_.attempts[0].end_reason = "rank 0: NOT_FOUND: corpus://x";
  job_.attempts[0].failures = {{0, absl::StatusCode::kNotFound, "corpus://x"}};
  job_.failures_without_progress = 1;
  EXPECT_EQ(Next(), "JobFailed");
  EXPECT_EQ(std::get<JobFailed>(event_).error, "rank 0: NOT_FOUND: corpus://x");
}

TEST_F(NextEventsTest, RequeuedAfterTheReplacementTimeout) {
  job_.state = JobState::kRecovering;
  job_.attempts[0].end_time = absl::UnixEpoch();
  job_.failures_without_progress = 1;
  job_.recovering_since = now_.wall;
  now_.wall += timeouts_.replacement;
  EXPECT_EQ(Next(), "JobRequeued");
}

TEST_F(NextEventsTest, ReportsNeverGoBack) {
  RankStatus rank;
  EXPECT_TRUE(UpdateRank({RankPhase::kRunning}, rank));
  EXPECT_FALSE(UpdateRank({RankPhase::kPrepared}, rank));
  EXPECT_FALSE(UpdateRank({RankPhase::kRunning}, rank));
  EXPECT_TRUE(UpdateRank({RankPhase::kFailed}, rank));
  EXPECT_FALSE(UpdateRank({RankPhase::kLost}, rank));
  EXPECT_FALSE(UpdateRank({RankPhase::kSucceeded}, rank));
}

}  // namespace
}  // namespace longspan::coordinator
