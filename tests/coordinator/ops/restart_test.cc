// kill -9 of the coordinator at every point of a job's life.
#include <gtest/gtest.h>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;

TEST(RestartTest, RunningJobGoesOn) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  cluster.Settle();
  const v1::Job before = cluster.Get(job);
  cluster.RestartCoordinator();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  cluster.ReconnectAll();
  cluster.Settle();
  const v1::Job after = cluster.Get(job);
  EXPECT_EQ(after.revision(), before.revision()) << "not even an event";
  EXPECT_EQ(after.attempts_size(), 1);
  a.Report(0, Status::SUCCEEDED);
  b.Report(1, Status::SUCCEEDED);
  EXPECT_EQ(cluster.StateOf(job), v1::SUCCEEDED);
}

TEST(RestartTest, NothingIsLostForOneLease) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  cluster.clock().Advance(absl::Hours(5));  // the coordinator was down
  cluster.RestartCoordinator();
  cluster.Advance(absl::Seconds(14));
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Advance(absl::Minutes(5));
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(cluster.Get(job).attempts_size(), 1);
}

TEST(RestartTest, WorkerThatStaysAwayIsLostAfterTheLease) {
  InProcessCluster cluster;
  cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  cluster.RestartCoordinator();
  FakeWorker& b = cluster.AddWorker("b");
  cluster.Advance(absl::Seconds(20));
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(b.executors().size(), 1u);
}

TEST(RestartTest, SlotsOfExpectedWorkersAreNotGivenAway) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  cluster.Submit(TrainSpec(1));
  cluster.Settle();
  const std::string second = cluster.Submit(TrainSpec(1));
  cluster.RestartCoordinator();
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(second), v1::PENDING);
  EXPECT_EQ(a.executors().size(), 1u);
}

TEST(RestartTest, BeforeTheAssignmentsArrived) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  (void)a.Take();
  cluster.RestartCoordinator();
  EXPECT_EQ(cluster.StateOf(job), v1::STARTING);
  cluster.ReconnectAll();
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(cluster.Get(job).attempts_size(), 1);
}

TEST(RestartTest, BetweenPreparedAndStarted) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  a.React();
  b.React();
  (void)a.Take();
  (void)b.Take();
  cluster.RestartCoordinator();
  cluster.ReconnectAll();
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(cluster.Get(job).attempts_size(), 1);
}

TEST(RestartTest, SuccessDuringTheOutage) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  cluster.RestartCoordinator();
  a.executor(0).state = Status::SUCCEEDED;
  cluster.ReconnectAll();
  EXPECT_EQ(cluster.StateOf(job), v1::SUCCEEDED);
}

TEST(RestartTest, CancelIsRemembered) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  v1::CancelJobRequest request;
  request.set_name(job);
  ASSERT_TRUE(coordinator::CancelJob(cluster.core(), request).ok());
  (void)a.Take();  // the stop is lost
  cluster.RestartCoordinator();
  EXPECT_EQ(cluster.StateOf(job), v1::CANCELLING);
  cluster.ReconnectAll();
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::CANCELLED);
  EXPECT_TRUE(a.executors().empty());
}

TEST(RestartTest, WhileTheGangStops) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(2));
  cluster.Settle();
  b.Report(1, Status::FAILED, "boom", 13);
  (void)a.Take();  // the stop is lost
  cluster.RestartCoordinator();
  EXPECT_EQ(cluster.StateOf(job), v1::RECOVERING);
  cluster.ReconnectAll();
  cluster.Settle();
  const v1::Job again = cluster.Get(job);
  EXPECT_EQ(again.state(), v1::RUNNING);
  ASSERT_EQ(again.attempts_size(), 2);
  EXPECT_EQ(again.attempts(0).end_reason(), "rank 1: INTERNAL: boom");
}

TEST(RestartTest, WorkerRestartedMeanwhile) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  cluster.RestartCoordinator();
  a.Restart();
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(cluster.Get(job).attempts_size(), 2);
}

TEST(RestartTest, QueueOrderIsKept) {
  InProcessCluster cluster;
  std::vector<std::string> jobs;
  for (int i = 0; i < 4; ++i) jobs.push_back(cluster.Submit(TrainSpec()));
  cluster.RestartCoordinator();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(cluster.Get(jobs[i]).queue_position(), i + 1);
  }
}

TEST(RestartTest, EpochsGoOnAfterReplay) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  a.Report(0, Status::FAILED, "boom", 13);
  cluster.Settle();
  cluster.RestartCoordinator();
  a.Restart();
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  EXPECT_EQ(a.executor(0).key.epoch(), 3);
  EXPECT_EQ(cluster.Get(job).attempts_size(), 3);
}

TEST(RestartTest, JournalThatDoesNotReplayIsRefused) {
  InProcessCluster cluster;
  coordinator::JournalContents contents;
  contents.entries.push_back(
      {1,
       {coordinator::JobName("tenants/default/jobs/a"), absl::UnixEpoch(),
        coordinator::JobFailed{"x"}}});
  FakeClock clock;
  MetricRegistry metrics;
  coordinator::CoreOptions options;
  options.random_bytes = coordinator::SystemRandomBytes;
  coordinator::Core core(
      options, {clock, cluster.journal(), cluster.core().logs, metrics});
  EXPECT_EQ(core.Restore(contents).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace longspan::testing
