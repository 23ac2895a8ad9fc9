// A gang from placement to its end, and everything that can go wrong with it.
#include <gtest/gtest.h>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;

absl::StatusOr<v1::Job> Cancel(InProcessCluster& cluster,
                               const std::string& name) {
  v1::CancelJobRequest request;
  request.set_name(name);
  request.set_reason("enough");
  return coordinator::CancelJob(cluster.core(), request);
}

TEST(GangLifeTest, FromPlacementToSuccess) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  EXPECT_EQ(cluster.StateOf(job), v1::STARTING);
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(a.executor(0).key.epoch(), 1);
  a.Report(0, Status::SUCCEEDED);
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING) << "rank 1 still works";
  b.Report(1, Status::SUCCEEDED);
  const v1::Job done = cluster.Get(job);
  EXPECT_EQ(done.state(), v1::SUCCEEDED);
  EXPECT_EQ(done.result().train().steps(), 10);
  ASSERT_EQ(done.attempts_size(), 1);
  EXPECT_EQ(done.attempts(0).end_reason(), "succeeded");
  EXPECT_EQ(done.attempts(0).placements(1).worker(), "workers/b");
  // The stop acknowledges the last status, and the slots are free again.
  cluster.Settle();
  EXPECT_TRUE(a.executors().empty());
  cluster.Submit(TrainSpec(2));
  cluster.Settle();
  EXPECT_EQ(a.executors().size() + b.executors().size(), 2u);
}

TEST(GangLifeTest, NothingStartsBeforeEveryRankIsPrepared) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  ASSERT_TRUE(a.React());
  for (const v1::CoordinatorMessage& message : a.Take()) {
    EXPECT_FALSE(message.has_start());
  }
  EXPECT_EQ(cluster.StateOf(job), v1::STARTING);
  ASSERT_TRUE(b.React());
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
}

TEST(GangLifeTest, GangWaitsForAllItsSlots) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(2));
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::PENDING);
  EXPECT_TRUE(a.executors().empty());
  EXPECT_NE(cluster.Get(job).pending_reason().find("needs 2 cpu slots"),
            std::string::npos);
  cluster.AddWorker("b");
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(cluster.Get(job).pending_reason(), "");
}

TEST(GangLifeTest, FailedRankStopsTheGangAndANewAttemptStarts) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  cluster.Settle();
  a.Progress(0, 50, 40);
  b.Report(1, Status::FAILED, "loss is not finite", 13);
  EXPECT_EQ(cluster.StateOf(job), v1::RECOVERING);
  cluster.Settle();
  const v1::Job again = cluster.Get(job);
  EXPECT_EQ(again.state(), v1::RUNNING);
  ASSERT_EQ(again.attempts_size(), 2);
  EXPECT_EQ(again.attempts(0).end_reason(),
            "rank 1: INTERNAL: loss is not finite");
  EXPECT_EQ(again.progress().checkpoint_step(), 40);
  EXPECT_EQ(a.executor(0).key.attempt(), 2);
  EXPECT_EQ(a.executor(0).key.epoch(), 2);
}

TEST(GangLifeTest, CrashLoopFailsWithItsCause) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec(1));
  for (int attempt = 1; attempt <= 3; ++attempt) {
    cluster.Settle();
    ASSERT_EQ(cluster.StateOf(job), v1::RUNNING) << attempt;
    worker.Report(0, Status::FAILED, "segmentation fault", 13);
  }
  const v1::Job failed = cluster.Get(job);
  EXPECT_EQ(failed.state(), v1::FAILED);
  EXPECT_EQ(failed.attempts_size(), 3);
  EXPECT_EQ(failed.error(),
            "rank 0: INTERNAL: segmentation fault (gave up after 3 attempts "
            "without a newer checkpoint)");
}

TEST(GangLifeTest, ProgressResetsTheCrashLoop) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec(1));
  for (int attempt = 1; attempt <= 8; ++attempt) {
    cluster.Settle();
    ASSERT_EQ(cluster.StateOf(job), v1::RUNNING) << attempt;
    worker.Progress(0, attempt * 10, attempt * 10);
    worker.Report(0, Status::FAILED, "power cut", 14);
  }
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
}

TEST(GangLifeTest, PermanentFailureIsNotRetried) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  worker.Report(0, Status::FAILED, "corpus://text.txt does not exist", 5);
  EXPECT_EQ(cluster.StateOf(job), v1::FAILED);
  EXPECT_EQ(cluster.Get(job).error(),
            "rank 0: NOT_FOUND: corpus://text.txt does not exist");
}

TEST(GangLifeTest, RankThatNeverStartsIsGivenUp) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  a.React();
  for (int i = 0; i < 70; ++i) {
    cluster.clock().Advance(absl::Seconds(5));
    ASSERT_TRUE(a.Renew().ok());
    ASSERT_TRUE(b.Renew().ok());
    cluster.RunDuties();
  }
  EXPECT_EQ(cluster.StateOf(job), v1::RECOVERING);
  cluster.Settle();
  EXPECT_NE(
      cluster.Get(job).attempts(0).end_reason().find("did not start within"),
      std::string::npos);
}

TEST(GangLifeTest, CancelPending) {
  InProcessCluster cluster;
  const std::string job = cluster.Submit(TrainSpec());
  EXPECT_EQ(Cancel(cluster, job)->state(), v1::CANCELLED);
  EXPECT_EQ(cluster.Get(job).error(), "cancelled: enough");
}

TEST(GangLifeTest, CancelStarting) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  ASSERT_EQ(cluster.StateOf(job), v1::STARTING);
  EXPECT_EQ(Cancel(cluster, job)->state(), v1::CANCELLING);
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::CANCELLED);
  EXPECT_TRUE(worker.executors().empty());
}

TEST(GangLifeTest, CancelRunningWaitsForTheRanks) {
  InProcessCluster cluster;
  cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  cluster.Settle();
  EXPECT_EQ(Cancel(cluster, job)->state(), v1::CANCELLING);
  EXPECT_EQ(Cancel(cluster, job)->state(), v1::CANCELLING) << "idempotent";
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::CANCELLED);
}

TEST(GangLifeTest, CancelRecoveringWithAndWithoutGang) {
  for (const bool gang_is_gone : {false, true}) {
    InProcessCluster cluster;
    FakeWorker& a = cluster.AddWorker("a");
    FakeWorker& b = cluster.AddWorker("b");
    const std::string job = cluster.Submit(TrainSpec(2));
    cluster.Settle();
    a.Restart();  // one slot fewer, so that no new gang is placed
    b.Report(1, Status::FAILED, "boom", 13);
    if (gang_is_gone) cluster.Advance(absl::Seconds(20));
    ASSERT_EQ(cluster.StateOf(job), v1::RECOVERING);
    ASSERT_TRUE(Cancel(cluster, job).ok());
    cluster.Advance(absl::Seconds(20));
    EXPECT_EQ(cluster.StateOf(job), v1::CANCELLED) << gang_is_gone;
  }
}

TEST(GangLifeTest, FinishedJobsCannotBeCancelled) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  cluster.Settle();
  worker.Report(0, Status::SUCCEEDED);
  EXPECT_EQ(Cancel(cluster, job).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Cancel(cluster, "tenants/default/jobs/none").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(GangLifeTest, DeleteOnlyFinishedJobs) {
  InProcessCluster cluster;
  const std::string job = cluster.Submit(TrainSpec(), "id");
  v1::DeleteJobRequest request;
  request.set_name(job);
  EXPECT_EQ(coordinator::DeleteJob(cluster.core(), request).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Cancel(cluster, job).ok());
  EXPECT_TRUE(coordinator::DeleteJob(cluster.core(), request).ok());
  EXPECT_EQ(coordinator::DeleteJob(cluster.core(), request).code(),
            absl::StatusCode::kNotFound);
  EXPECT_NE(cluster.Submit(TrainSpec(), "id"), job);
}

TEST(GangLifeTest, JournalTroubleOnlyDelays) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  cluster.Settle();
  cluster.journal().FailWith(absl::ResourceExhaustedError("disk full"));
  worker.Report(0, Status::SUCCEEDED);
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING) << "not before it is durable";
  cluster.journal().FailWith(absl::OkStatus());
  cluster.RunDuties();
  EXPECT_EQ(cluster.StateOf(job), v1::SUCCEEDED);
}

TEST(GangLifeTest, HigherPriorityFirst) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string running = cluster.Submit(TrainSpec());
  cluster.Settle();
  const std::string low = cluster.Submit(TrainSpec());
  v1::JobSpec urgent = TrainSpec();
  urgent.set_priority(10);
  const std::string high = cluster.Submit(urgent);
  EXPECT_EQ(cluster.Get(high).queue_position(), 1);
  EXPECT_EQ(cluster.Get(low).queue_position(), 2);
  worker.Report(0, Status::SUCCEEDED);
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(high), v1::RUNNING);
  EXPECT_EQ(cluster.StateOf(low), v1::PENDING);
}

TEST(GangLifeTest, ProgressHasAnEta) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  cluster.Settle();
  worker.Progress(0, 0, 0, 0.0);
  cluster.clock().Advance(absl::Seconds(10));
  worker.Progress(0, 2, 0, 0.25);
  EXPECT_EQ(cluster.Get(job).progress().remaining().seconds(), 30);
  EXPECT_EQ(cluster.Get(job).progress().done(), 2);
}

TEST(GangLifeTest, FinishedJobsAreRetiredOldestFirst) {
  InProcessCluster cluster([](coordinator::CoreOptions& options) {
    options.max_finished_jobs = 2;
    options.finished_retention = absl::Hours(1);
  });
  std::vector<std::string> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.push_back(cluster.Submit(TrainSpec()));
    ASSERT_TRUE(Cancel(cluster, jobs.back()).ok());
    cluster.clock().Advance(absl::Minutes(1));
  }
  cluster.RunDuties();
  v1::ListJobsRequest list;
  auto left = coordinator::ListJobs(cluster.core(), list);
  ASSERT_EQ(left->jobs_size(), 2);
  EXPECT_EQ(left->jobs(1).name(), jobs[1]);
  cluster.clock().Advance(absl::Hours(1));
  cluster.RunDuties();
  EXPECT_EQ(coordinator::ListJobs(cluster.core(), list)->jobs_size(), 0);
}

}  // namespace
}  // namespace longspan::testing
