// Every event against every state: what is allowed, what it does, and that a
// bad event neither builds nor applies.
#include "coordinator/job/job_event.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "coordinator/job/job_table.h"

namespace longspan::coordinator {
namespace {

const JobName kName("tenants/default/jobs/a");

JobEvent Event(JobEventBody body, int seconds = 0) {
  return {kName, absl::FromUnixSeconds(1000 + seconds), std::move(body)};
}

JobCreated Created(int ranks = 2, int max_failures = 3) {
  JobCreated created;
  created.spec = std::make_shared<const std::string>("spec");
  created.spec_digest = "digest";
  created.demand.ranks = ranks;
  created.demand.max_failures = max_failures;
  return created;
}

GangPlaced Placed(int attempt = 1) {
  return {attempt, attempt, "secret", {{0, "w0", 0}, {1, "w1", 0}}};
}

// A state and whether a gang is live in it.
using Situation = std::string;

// The events that lead to each situation.
std::map<Situation, std::vector<JobEventBody>> Histories() {
  const RankFailed failed = {1, 1, absl::StatusCode::kInternal, "boom"};
  const AttemptEnded ended = {1, "boom"};
  return {
      {"PENDING", {Created()}},
      {"STARTING", {Created(), Placed()}},
      {"RUNNING", {Created(), Placed(), AttemptRunning{1, 0}}},
      {"RECOVERING+gang", {Created(), Placed(), failed}},
      {"RECOVERING", {Created(), Placed(), failed, ended}},
      {"CANCELLING+gang", {Created(), Placed(), CancelRequested{"why"}}},
      {"CANCELLING", {Created(), CancelRequested{"why"}}},
      {"SUCCEEDED",
       {Created(), Placed(), AttemptRunning{1, 0}, JobSucceeded{1, nullptr}}},
      {"FAILED", {Created(), JobFailed{"no"}}},
      {"CANCELLED", {Created(), CancelRequested{""}, JobCancelled{}}},
  };
}

std::shared_ptr<const Job> Replay(const std::vector<JobEventBody>& events) {
  std::shared_ptr<const Job> job;
  int64_t revision = 0;
  for (const JobEventBody& body : events) {
    const JobEvent event = Event(body, static_cast<int>(revision));
    EXPECT_TRUE(CanApply(job.get(), event).ok()) << EventName(body);
    job = Apply(job.get(), event, ++revision);
  }
  return job;
}

// One well-formed event of every kind, for attempt 1 (GangPlaced: the next).
std::vector<JobEventBody> EventsFor(const Job& job) {
  const int next = job.attempts.empty() ? 1 : 2;
  return {Created(),
          Placed(next),
          AttemptRunning{1, 0},
          RankFailed{1, 0, absl::StatusCode::kUnavailable, "gone"},
          CheckpointRecorded{1, 5},
          AttemptEnded{1, "over"},
          JobRequeued{"waited"},
          CancelRequested{"why"},
          JobSucceeded{1, nullptr},
          JobFailed{"no"},
          JobCancelled{},
          JobDeleted{}};
}

const std::map<Situation, std::set<std::string>>& Allowed() {
  static const auto* const allowed = new std::map<Situation,
                                                  std::set<std::string>>{
      {"PENDING", {"GangPlaced", "CancelRequested", "JobFailed"}},
      {"STARTING",
       {"AttemptRunning", "RankFailed", "CheckpointRecorded",
        "CancelRequested"}},
      {"RUNNING",
       {"RankFailed", "CheckpointRecorded", "CancelRequested", "JobSucceeded"}},
      {"RECOVERING+gang",
       {"RankFailed", "CheckpointRecorded", "AttemptEnded", "CancelRequested"}},
      {"RECOVERING",
       {"GangPlaced", "JobRequeued", "CancelRequested", "JobFailed"}},
      {"CANCELLING+gang",
       {"RankFailed", "CheckpointRecorded", "AttemptEnded", "JobSucceeded"}},
      {"CANCELLING", {"JobCancelled"}},
      {"SUCCEEDED", {"JobDeleted"}},
      {"FAILED", {"JobDeleted"}},
      {"CANCELLED", {"JobDeleted"}},
  };
  return *allowed;
}

TEST(JobEventTest, EveryEventInEverySituation) {
  for (const auto& [situation, history] : Histories()) {
    const std::shared_ptr<const Job> job = Replay(history);
    ASSERT_EQ(situation.substr(0, situation.find('+')),
              JobStateName(job->state));
    ASSERT_EQ(situation.find("+gang") != std::string::npos ||
                  situation == "STARTING" || situation == "RUNNING",
              job->LiveAttempt() != nullptr)
        << situation;
    for (const JobEventBody& body : EventsFor(*job)) {
      const std::string name = EventName(body);
      const bool allowed = Allowed().at(situation).contains(name);
      EXPECT_EQ(CanApply(job.get(), Event(body)).ok(), allowed)
          << name << " in " << situation << ": "
          << CanApply(job.get(), Event(body));
      EXPECT_EQ(Build(*job, absl::Now(), body).ok(), allowed)
          << name << " in " << situation;
    }
  }
}

TEST(JobEventTest, BadEventLeavesTheTableAlone) {
  for (const auto& [situation, history] : Histories()) {
    JobTable table;
    for (size_t i = 0; i < history.size(); ++i) {
      ASSERT_TRUE(table.Apply(Event(history[i]), i + 1).ok());
    }
    const JobSnapshot before = table.Find(kName);
    for (const JobEventBody& body : EventsFor(*before)) {
      if (Allowed().at(situation).contains(EventName(body))) continue;
      EXPECT_FALSE(table.Apply(Event(body), 100).ok());
      EXPECT_FALSE(table.CanApplyAll({Event(body)}).ok());
      EXPECT_EQ(table.Find(kName), before) << "not even copied";
      EXPECT_EQ(table.revision(), static_cast<int64_t>(history.size()));
    }
  }
}

TEST(JobEventTest, OnlyCreationMeetsNoJob) {
  const std::shared_ptr<const Job> job = Replay({Created()});
  for (const JobEventBody& body : EventsFor(*job)) {
    EXPECT_EQ(CanApply(nullptr, Event(body)).ok(),
              std::string(EventName(body)) == "JobCreated");
  }
}

TEST(JobEventTest, EventsOfAnotherAttemptAreRefused) {
  const std::shared_ptr<const Job> job =
      Replay({Created(), Placed(), AttemptRunning{1, 0}});
  const std::vector<JobEventBody> stale = {
      RankFailed{2, 0, absl::StatusCode::kInternal, "x"},
      CheckpointRecorded{2, 9}, JobSucceeded{0, nullptr}};
  for (const JobEventBody& body : stale) {
    EXPECT_FALSE(CanApply(job.get(), Event(body)).ok()) << EventName(body);
  }
}

TEST(JobEventTest, GangMustBeWhole) {
  const std::shared_ptr<const Job> job = Replay({Created(2)});
  const std::vector<std::vector<Placement>> bad = {
      {},
      {{0, "w0", 0}},
      {{0, "w0", 0}, {1, "w0", 0}},               // one slot twice
      {{1, "w0", 0}, {0, "w1", 0}},               // out of order
      {{0, "w0", 0}, {0, "w1", 0}},               // a rank twice
      {{0, "w0", 0}, {1, "w1", 0}, {2, "w2", 0}}  // too many
  };
  for (const std::vector<Placement>& placements : bad) {
    EXPECT_FALSE(BuildGangPlaced(*job, absl::Now(), placements, "s").ok());
  }
  EXPECT_TRUE(
      BuildGangPlaced(*job, absl::Now(), {{0, "w0", 0}, {1, "w0", 1}}, "s")
          .ok());
}

TEST(JobEventTest, EpochsAndAttemptsOnlyGrow) {
  const std::shared_ptr<const Job> job = Replay(
      {Created(), Placed(), RankFailed{1, 0, absl::StatusCode::kInternal, "x"},
       AttemptEnded{1, "x"}});
  GangPlaced again = Placed(1);
  EXPECT_FALSE(CanApply(job.get(), Event(again)).ok());
  GangPlaced old_epoch = Placed(2);
  old_epoch.epoch = 1;
  EXPECT_FALSE(CanApply(job.get(), Event(old_epoch)).ok());
  absl::StatusOr<JobEvent> next = BuildGangPlaced(
      *job, absl::Now(), {{0, "w0", 0}, {1, "w1", 0}}, "secret");
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(std::get<GangPlaced>(next->body).attempt, 2);
  EXPECT_EQ(std::get<GangPlaced>(next->body).epoch, 2);
}

TEST(JobEventTest, ARankFailsOnce) {
  const std::shared_ptr<const Job> job =
      Replay({Created(), Placed(),
              RankFailed{1, 0, absl::StatusCode::kInternal, "x"}});
  EXPECT_FALSE(CanApply(job.get(), Event(RankFailed{
                                       1, 0, absl::StatusCode::kInternal, "y"}))
                   .ok());
  for (int rank : {-1, 2}) {
    EXPECT_FALSE(
        CanApply(job.get(),
                 Event(RankFailed{1, rank, absl::StatusCode::kInternal, "y"}))
            .ok());
  }
}

TEST(JobEventTest, FailuresCountOnlyWithoutNewerCheckpoint) {
  std::vector<JobEventBody> history = {Created()};
  auto fail = [&](int attempt, int64_t checkpoint) {
    history.push_back(Placed(attempt));
    if (checkpoint > 0) {
      history.push_back(CheckpointRecorded{attempt, checkpoint});
    }
    history.push_back(
        RankFailed{attempt, 0, absl::StatusCode::kInternal, "boom"});
    history.push_back(AttemptEnded{attempt, "boom"});
  };
  fail(1, 0);
  EXPECT_EQ(Replay(history)->failures_without_progress, 1);
  fail(2, 0);
  EXPECT_EQ(Replay(history)->failures_without_progress, 2);
  fail(3, 10);
  EXPECT_EQ(Replay(history)->failures_without_progress, 1);
  fail(4, 0);
  EXPECT_EQ(Replay(history)->failures_without_progress, 2);
  EXPECT_EQ(Replay(history)->checkpoint_step, 10);
}

TEST(JobEventTest, InterruptionsAreNoFailures) {
  std::vector<JobEventBody> history = {Created()};
  for (int attempt = 1; attempt <= 5; ++attempt) {
    history.push_back(Placed(attempt));
    history.push_back(
        RankFailed{attempt, 0, absl::StatusCode::kCancelled, "drained"});
    history.push_back(
        RankFailed{attempt, 1, absl::StatusCode::kCancelled, "asked"});
    history.push_back(AttemptEnded{attempt, "drained"});
  }
  EXPECT_EQ(Replay(history)->failures_without_progress, 0);
}

TEST(JobEventTest, CheckpointsNeverGoBack) {
  const std::shared_ptr<const Job> job =
      Replay({Created(), Placed(), CheckpointRecorded{1, 7}});
  for (int64_t step : {7, 6, 0, -1}) {
    EXPECT_FALSE(CanApply(job.get(), Event(CheckpointRecorded{1, step})).ok());
  }
}

TEST(JobEventTest, OldAttemptsAreDropped) {
  std::vector<JobEventBody> history = {Created()};
  for (int attempt = 1; attempt <= 40; ++attempt) {
    history.push_back(Placed(attempt));
    history.push_back(
        RankFailed{attempt, 0, absl::StatusCode::kInternal, "boom"});
    history.push_back(AttemptEnded{attempt, "boom"});
  }
  const std::shared_ptr<const Job> job = Replay(history);
  EXPECT_EQ(job->attempts.size(), kMaxKeptAttempts);
  EXPECT_EQ(job->attempts.back().number, 40);
}

TEST(JobEventTest, TimesAreThoseOfTheEvents) {
  const std::shared_ptr<const Job> job =
      Replay({Created(), Placed(), AttemptRunning{1, 0},
              JobSucceeded{1, std::make_shared<const std::string>("r")}});
  EXPECT_EQ(job->create_time, absl::FromUnixSeconds(1000));
  EXPECT_EQ(job->start_time, absl::FromUnixSeconds(1001));
  EXPECT_EQ(job->end_time, absl::FromUnixSeconds(1003));
  EXPECT_EQ(job->attempts.back().end_time, absl::FromUnixSeconds(1003));
  EXPECT_EQ(*job->result, "r");
}

}  // namespace
}  // namespace longspan::coordinator
