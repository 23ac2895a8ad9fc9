// Messages of attempts that are not live change nothing.
#include <gtest/gtest.h>

#include "coordinator/ops/worker_operations.h"
#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;

class FencingTest : public ::testing::Test {
 protected:
  FencingTest() : a_(cluster_.AddWorker("a")), b_(cluster_.AddWorker("b")) {
    job_ = cluster_.Submit(TrainSpec(1));
    cluster_.Settle();
    stale_ = a_.executor(0);
    // The job moves on to b, unknown to a.
    a_.Disconnect();
    cluster_.Advance(absl::Seconds(20));
    EXPECT_TRUE(a_.Connect(cluster_.core()).ok());
    (void)a_.Take();
    before_ = cluster_.Get(job_).revision();
  }

  void ExpectRefused() {
    const auto messages = a_.Take();
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].refused().reason(), "STALE_EPOCH");
    EXPECT_EQ(messages[0].refused().key().epoch(), 1);
    EXPECT_EQ(cluster_.Get(job_).revision(), before_) << "nothing changed";
  }

  InProcessCluster cluster_;
  FakeWorker& a_;
  FakeWorker& b_;
  std::string job_;
  FakeWorker::Executor stale_;
  int64_t before_ = 0;
};

TEST_F(FencingTest, StatusOfAStaleRank) {
  a_.Report(stale_.key, 0, Status::RUNNING);
  ExpectRefused();
}

TEST_F(FencingTest, ProgressAndCheckpointOfAStaleRank) {
  v1::WorkerMessage message;
  *message.mutable_rank_report()->mutable_key() = stale_.key;
  message.mutable_rank_report()->mutable_progress()->set_checkpoint_step(999);
  ASSERT_TRUE(a_.Send(message).ok());
  ExpectRefused();
  EXPECT_EQ(cluster_.Get(job_).progress().checkpoint_step(), 0);
}

TEST_F(FencingTest, RendezvousOfAStaleRank) {
  v1::WorkerMessage message;
  *message.mutable_rendezvous()->mutable_key() = stale_.key;
  message.mutable_rendezvous()->mutable_set()->set_key("k");
  ASSERT_TRUE(a_.Send(message).ok());
  ExpectRefused();
}

TEST_F(FencingTest, TokensOfAStaleRank) {
  v1::WorkerMessage message;
  *message.mutable_tokens()->mutable_key() = stale_.key;
  message.mutable_tokens()->add_tokens()->set_id(1);
  ASSERT_TRUE(a_.Send(message).ok());
  ExpectRefused();
}

TEST_F(FencingTest, SuccessOfAStaleRankOnlyFreesTheSlot) {
  a_.Report(stale_.key, 0, Status::SUCCEEDED);
  EXPECT_EQ(cluster_.Get(job_).revision(), before_);
  const auto messages = a_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].has_stop()) << "acknowledged";
}

TEST_F(FencingTest, LiveKeyFromAnotherWorkerIsRefused) {
  a_.Report(b_.executor(0).key, 0, Status::SUCCEEDED);
  const auto messages = a_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_TRUE(messages[0].has_refused());
  EXPECT_EQ(cluster_.StateOf(job_), v1::RUNNING);
}

TEST_F(FencingTest, RanksThatDoNotExistAreRefused) {
  for (int rank : {-1, 1, 1000000}) {
    b_.Report(b_.executor(0).key, rank, Status::FAILED);
    EXPECT_EQ(cluster_.StateOf(job_), v1::RUNNING);
  }
}

TEST_F(FencingTest, UnknownJobsAreRefused) {
  v1::AttemptKey key;
  key.set_job("tenants/default/jobs/none");
  a_.Report(key, 0, Status::RUNNING);
  const auto messages = a_.Take();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].refused().reason(), "UNKNOWN_ATTEMPT");
}

TEST_F(FencingTest, UnregisteredStreamsChangeNothing) {
  const int64_t stranger =
      coordinator::OpenConnection(cluster_.core(), nullptr);
  v1::WorkerMessage message;
  *message.mutable_log()->mutable_key() = b_.executor(0).key;
  message.mutable_log()->set_data("forged");
  EXPECT_TRUE(
      coordinator::HandleWorkerMessage(cluster_.core(), stranger, message)
          .ok());
  v1::WorkerMessage renew;
  renew.mutable_renew_lease();
  EXPECT_FALSE(
      coordinator::HandleWorkerMessage(cluster_.core(), stranger, renew).ok());
  EXPECT_EQ(*cluster_.core().logs.Read(coordinator::JobName(job_), 0, 10), "");
}

TEST(RendezvousTest, RanksFindEachOther) {
  InProcessCluster cluster;
  FakeWorker& a = cluster.AddWorker("a");
  FakeWorker& b = cluster.AddWorker("b");
  cluster.Submit(TrainSpec(2));
  cluster.Settle();
  v1::WorkerMessage get;
  *get.mutable_rendezvous()->mutable_key() = b.executor(1).key;
  get.mutable_rendezvous()->set_rank(1);
  get.mutable_rendezvous()->set_id(7);
  get.mutable_rendezvous()->set_get("address/0");
  ASSERT_TRUE(b.Send(get).ok());
  EXPECT_TRUE(b.Take().empty()) << "waits for the key";
  v1::WorkerMessage set;
  *set.mutable_rendezvous()->mutable_key() = a.executor(0).key;
  set.mutable_rendezvous()->set_id(3);
  set.mutable_rendezvous()->mutable_set()->set_key("address/0");
  set.mutable_rendezvous()->mutable_set()->set_value("10.0.0.1");
  ASSERT_TRUE(a.Send(set).ok());
  const auto done = a.Take();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].rendezvous().id(), 3);
  EXPECT_EQ(done[0].rendezvous().error(), "");
  const auto answer = b.Take();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].rendezvous().id(), 7);
  EXPECT_EQ(answer[0].rendezvous().rank(), 1);
  EXPECT_EQ(answer[0].rendezvous().value(), "10.0.0.1");
}

}  // namespace
}  // namespace longspan::testing
