#include "coordinator/dispatch/assignment.h"

#include <gtest/gtest.h>

#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {
namespace {

Job RunningJob() {
  Job job;
  job.name = MakeJobName("default", "a");
  v1::JobSpec spec;
  spec.set_name("tiny");
  job.spec = std::make_shared<const std::string>(spec.SerializeAsString());
  job.demand.ranks = 1;
  job.state = JobState::kRunning;
  Attempt attempt;
  attempt.number = 2;
  attempt.epoch = 5;
  attempt.secret = "secret";
  attempt.placements = {{0, "w", 3}};
  job.attempts.push_back(attempt);
  return job;
}

v1::AttemptKey Key(const std::string& job, int attempt, int64_t epoch) {
  v1::AttemptKey key;
  key.set_job(job);
  key.set_attempt(attempt);
  key.set_epoch(epoch);
  return key;
}

TEST(FencingTest, OnlyTheLiveAttemptPasses) {
  Job job = RunningJob();
  const std::string name = job.name.value();
  EXPECT_TRUE(CheckKey(&job, Key(name, 2, 5)).ok());
  for (const v1::AttemptKey& key :
       {Key(name, 2, 4), Key(name, 1, 5), Key(name, 2, 6), Key(name, 3, 5)}) {
    EXPECT_EQ(CheckKey(&job, key).code(), absl::StatusCode::kAborted);
    EXPECT_EQ(RefusalReason(CheckKey(&job, key)), "STALE_EPOCH");
  }
  job.attempts.back().end_time = absl::Now();
  EXPECT_FALSE(CheckKey(&job, Key(name, 2, 5)).ok()) << "it ended";
  EXPECT_EQ(RefusalReason(CheckKey(nullptr, Key(name, 2, 5))),
            "UNKNOWN_ATTEMPT");
}

TEST(AssignmentTest, SaysAllThatARankNeeds) {
  const Job job = RunningJob();
  v1::Plan plan;
  plan.set_parameter_count(7);
  AssignmentOptions options;
  const v1::CoordinatorMessage message =
      MakeAssignment(job, job.attempts[0], {0, "w", 3},
                     {&plan, "models://m", "outputs://a"}, options);
  const v1::Assignment& assignment = message.assignment();
  EXPECT_EQ(assignment.key().job(), job.name.value());
  EXPECT_EQ(assignment.key().attempt(), 2);
  EXPECT_EQ(assignment.key().epoch(), 5);
  EXPECT_EQ(assignment.spec().name(), "tiny");
  EXPECT_EQ(assignment.plan().parameter_count(), 7);
  EXPECT_EQ(assignment.slot(), 3);
  EXPECT_EQ(assignment.rendezvous_secret(), "secret");
  EXPECT_EQ(assignment.rendezvous_timeout().seconds(), 60);
  EXPECT_EQ(assignment.model_uri(), "models://m");
  EXPECT_EQ(assignment.checkpoint_uri(), "outputs://a");
}

}  // namespace
}  // namespace longspan::coordinator
