// Workers that come, go silent, come back, drain or lie.
#include <gtest/gtest.h>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;

v1::WorkerState StateOfWorker(InProcessCluster& cluster,
                              const std::string& name) {
  v1::ListWorkersRequest request;
  const auto response = coordinator::ListWorkers(cluster.core(), request);
  for (const v1::Worker& worker : response->workers()) {
    if (worker.name() == "workers/" + name) return worker.state();
  }
  return v1::WORKER_STATE_UNSPECIFIED;
}

TEST(WorkerLifeTest, RegistrationTellsTheTerms) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w", 2);
  const auto messages = worker.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].registered().lease().seconds(), 15);
  EXPECT_EQ(messages[0].registered().renew_interval().seconds(), 5);
  EXPECT_EQ(messages[0].registered().detached_timeout().seconds(), 600);
  EXPECT_EQ(StateOfWorker(cluster, "w"), v1::READY);
}

TEST(WorkerLifeTest, LostWorkerFailsItsRanksAndJobMovesOn) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  ASSERT_EQ(a.executors().size(), 1u);
  a.Disconnect();
  cluster.Advance(absl::Seconds(14));
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING) << "a broken stream is no loss";
  cluster.Advance(absl::Seconds(6));
  EXPECT_EQ(StateOfWorker(cluster, "a"), v1::LOST);
  const v1::Job moved = cluster.Get(job);
  EXPECT_EQ(moved.state(), v1::RUNNING);
  EXPECT_EQ(moved.attempts(1).placements(0).worker(), "workers/b");
  EXPECT_EQ(moved.attempts(0).end_reason(),
            "rank 0: DEADLINE_EXCEEDED: worker a was lost: its lease ended");
}

TEST(WorkerLifeTest, LostWorkersSlotsAreHeldUntilDetachedTimeout) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  a.Disconnect();
  cluster.Advance(absl::Seconds(30));
  EXPECT_EQ(cluster.StateOf(job), v1::RECOVERING);
  EXPECT_NE(cluster.Get(job).pending_reason().find("held by lost worker a"),
            std::string::npos)
      << cluster.Get(job).pending_reason();
  cluster.Advance(absl::Minutes(11));
  EXPECT_EQ(StateOfWorker(cluster, "a"), v1::WORKER_STATE_UNSPECIFIED);
  EXPECT_EQ(cluster.StateOf(job), v1::PENDING) << "not failed: requeued";
  EXPECT_NE(cluster.Get(job).pending_reason().find("no replacement was found"),
            std::string::npos);
}

TEST(WorkerLifeTest, NewIncarnationProvesThatExecutorsAreGone) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  a.Restart();
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  const v1::Job again = cluster.Get(job);
  EXPECT_EQ(again.state(), v1::RUNNING);
  EXPECT_EQ(again.attempts_size(), 2);
  EXPECT_EQ(again.attempts(0).end_reason(),
            "rank 0: UNKNOWN: worker a no longer has the executor");
}

TEST(WorkerLifeTest, ReconnectWithinTheLeaseIsInvisible) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  a.Disconnect();
  cluster.Advance(absl::Seconds(10));
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  EXPECT_EQ(cluster.Get(job).attempts_size(), 1);
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  a.Report(0, Status::SUCCEEDED);
  EXPECT_EQ(cluster.StateOf(job), v1::SUCCEEDED);
}

TEST(WorkerLifeTest, SuccessWhileDisconnectedIsHeardOnReconnect) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  a.Disconnect();
  a.executor(0).state = Status::SUCCEEDED;
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  EXPECT_EQ(cluster.StateOf(job), v1::SUCCEEDED);
}

TEST(WorkerLifeTest, AssignmentLostWithTheStreamIsSentAgain) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  a.Disconnect();  // before it read the assignment
  (void)a.Take();
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  EXPECT_EQ(cluster.Get(job).attempts_size(), 1);
}

TEST(WorkerLifeTest, StartLostWithTheStreamIsSentAgain) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  a.React();       // prepared; the start is in the stream
  (void)a.Take();  // ... and is lost with it
  a.Disconnect();
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
}

TEST(WorkerLifeTest, ReturningZombieIsStoppedBeforeItsSlotIsUsed) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  a.Disconnect();
  cluster.Advance(absl::Seconds(20));
  ASSERT_EQ(b.executors().size(), 1u) << "the job moved to b";
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  const std::string second = cluster.Submit(TrainSpec(1));
  EXPECT_EQ(cluster.StateOf(second), v1::PENDING)
      << "the zombie still holds the slot";
  cluster.Settle();
  EXPECT_EQ(cluster.StateOf(second), v1::RUNNING);
  EXPECT_EQ(cluster.Get(second).attempts(0).placements(0).worker(),
            "workers/a");
  EXPECT_EQ(cluster.Get(job).attempts_size(), 2);
}

TEST(WorkerLifeTest, LostWorkersStreamIsClosed) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  cluster.clock().Advance(absl::Seconds(15));
  cluster.RunDuties();
  EXPECT_EQ(StateOfWorker(cluster, "a"), v1::LOST);
  EXPECT_FALSE(a.Renew().ok()) << "it has to register again";
  ASSERT_TRUE(a.Connect(cluster.core()).ok());
  EXPECT_EQ(StateOfWorker(cluster, "a"), v1::READY);
}

TEST(WorkerLifeTest, ClockJumpsOfTheWallDoNotMatter) {
  InProcessCluster cluster;
  cluster.AddWorker("a");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  for (absl::Duration jump : {absl::Hours(1), absl::Hours(-2)}) {
    cluster.clock().JumpWall(jump);
    cluster.RunDuties();
    EXPECT_EQ(StateOfWorker(cluster, "a"), v1::READY);
    EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
  }
}

TEST(WorkerLifeTest, DrainingWorkerGetsNothingNew) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a", 2);
  v1::WorkerMessage message;
  message.mutable_draining()->set_reason("SIGTERM");
  ASSERT_TRUE(a.Send(message).ok());
  const std::string job = cluster.Submit(TrainSpec(1));
  EXPECT_EQ(cluster.StateOf(job), v1::PENDING);
  EXPECT_EQ(StateOfWorker(cluster, "a"), v1::DRAINING);
  a.Disconnect();
  EXPECT_EQ(StateOfWorker(cluster, "a"), v1::WORKER_STATE_UNSPECIFIED);
}

TEST(WorkerLifeTest, RankStoppedByADrainingWorkerMovesOn) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  const std::string job = cluster.Submit(TrainSpec(1));
  cluster.Settle();
  v1::WorkerMessage message;
  message.mutable_draining()->set_reason("SIGTERM");
  ASSERT_TRUE(a.Send(message).ok());
  a.Report(0, Status::STOPPED, "the worker stops");
  cluster.Settle();
  EXPECT_EQ(b.executors().size(), 1u);
  EXPECT_EQ(cluster.StateOf(job), v1::RUNNING);
}

TEST(WorkerLifeTest, ForeignVersionsAndTwinsAreRefused) {
  InProcessCluster cluster;
  cluster.AddWorker("w");
  FakeWorker twin({.name = "w"});
  twin.Restart();  // another incarnation
  const absl::Status refused = twin.Connect(cluster.core());
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  FakeWorker shouting({.name = "W!"});
  EXPECT_EQ(shouting.Connect(cluster.core()).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(WorkerLifeTest, MetricsFollow) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  cluster.Submit(TrainSpec(2));
  auto has = [&](const std::string& line) {
    return cluster.metrics().Text().find(line) != std::string::npos;
  };
  EXPECT_TRUE(has("longspan_worker_up{worker=\"a\"} 1"));
  EXPECT_TRUE(has("longspan_lease_expirations_total 0"));
  EXPECT_TRUE(
      has("longspan_queue_length{"
          "priority=\"0\",reason=\"no_capacity\"} 1"));
  EXPECT_TRUE(
      has("longspan_queue_length{"
          "priority=\"0\",reason=\"devices_in_use\"} 0"));
  EXPECT_TRUE(has("longspan_jobs{state=\"PENDING\"} 1"));
  a.Disconnect();
  cluster.Advance(absl::Seconds(20));
  EXPECT_TRUE(has("longspan_worker_up{worker=\"a\"} 0"));
  EXPECT_TRUE(has("longspan_lease_expirations_total 1"));
  cluster.Advance(absl::Minutes(11));
  EXPECT_FALSE(has("worker=\"a\"")) << "series of gone workers are removed";
}

}  // namespace
}  // namespace longspan::testing
