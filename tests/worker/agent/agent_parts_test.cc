// The parts of the agent that decide by themselves.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/device_inventory.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/executor_metrics.h"
#include "worker/agent/outgoing_queue.h"
#include "worker/agent/rank_table.h"
#include "worker/agent/state_directory.h"

namespace longspan::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

v1::WorkerMessage Lease(int64_t sequence) {
  v1::WorkerMessage message;
  message.mutable_renew_lease()->set_sequence(sequence);
  return message;
}

v1::WorkerMessage Report(int done) {
  v1::WorkerMessage message;
  message.mutable_rank_report()->mutable_progress()->set_done(done);
  return message;
}

v1::WorkerMessage Log(size_t bytes, char fill) {
  v1::WorkerMessage message;
  message.mutable_log()->set_data(std::string(bytes, fill));
  return message;
}

TEST(OutgoingQueueTest, TheUrgentOvertake) {
  OutgoingQueue queue;
  queue.Push(Urgency::kLog, Log(1, 'a'));
  queue.Push(Urgency::kReport, Report(1));
  queue.Push(Urgency::kLease, Lease(1));
  EXPECT_TRUE(queue.Pop()->has_renew_lease());
  EXPECT_TRUE(queue.Pop()->has_rank_report());
  EXPECT_TRUE(queue.Pop()->has_log());
  EXPECT_FALSE(queue.Pop().has_value());
  EXPECT_TRUE(queue.empty());
}

TEST(OutgoingQueueTest, ANewerReportTakesThePlaceOfTheOlder) {
  OutgoingQueue queue;
  queue.Push(Urgency::kReport, Report(1), "rank 0");
  queue.Push(Urgency::kReport, Report(5), "rank 1");
  queue.Push(Urgency::kReport, Report(2), "rank 0");
  EXPECT_EQ(queue.Pop()->rank_report().progress().done(), 2);
  EXPECT_EQ(queue.Pop()->rank_report().progress().done(), 5);
  EXPECT_TRUE(queue.empty());
}

TEST(OutgoingQueueTest, OldLogsGiveWay) {
  OutgoingQueue queue;
  for (int i = 0; i < 5; ++i) {
    queue.Push(Urgency::kLog,
               Log(OutgoingQueue::kLogBytes / 3, static_cast<char>('a' + i)));
  }
  EXPECT_EQ(queue.TakeDropped(), 3);
  EXPECT_EQ(queue.TakeDropped(), 0);
  EXPECT_EQ(queue.Pop()->log().data()[0], 'd');
  EXPECT_EQ(queue.Pop()->log().data()[0], 'e');
}

TEST(OutgoingQueueTest, ANewSessionKeepsWhatTheAgentDoesNotRepeat) {
  OutgoingQueue queue;
  queue.Push(Urgency::kLease, Lease(1));
  queue.Push(Urgency::kControl, v1::WorkerMessage());
  queue.Push(Urgency::kTokens, v1::WorkerMessage());
  queue.Push(Urgency::kLog, Log(1, 'a'));
  queue.StartSession();
  EXPECT_FALSE(queue.Pop()->has_log());  // the tokens
  EXPECT_TRUE(queue.Pop()->has_log());
  EXPECT_TRUE(queue.empty());
}

v1::Assignment AssignmentOf(int attempt, int64_t epoch, int rank, int slot) {
  v1::Assignment assignment;
  assignment.mutable_key()->set_job("tenants/t/jobs/j");
  assignment.mutable_key()->set_attempt(attempt);
  assignment.mutable_key()->set_epoch(epoch);
  assignment.set_rank(rank);
  assignment.set_slot(slot);
  return assignment;
}

TEST(RankTableTest, FencesOlderEpochsAndAttempts) {
  RankTable table;
  EXPECT_TRUE(table.Admit(AssignmentOf(2, 5, 0, 0).key()));
  EXPECT_TRUE(table.Admit(AssignmentOf(2, 5, 1, 0).key()));
  EXPECT_FALSE(table.Admit(AssignmentOf(2, 4, 0, 0).key()));
  EXPECT_FALSE(table.Admit(AssignmentOf(1, 9, 0, 0).key()));
  EXPECT_TRUE(table.Admit(AssignmentOf(3, 6, 0, 0).key()));
  EXPECT_TRUE(table.IsStale(AssignmentOf(2, 5, 0, 0).key()));
}

TEST(RankTableTest, FindsRanksByAttemptAgeAndSlot) {
  RankTable table;
  RankRecord* first = table.Add(AssignmentOf(1, 1, 0, 0));
  RankRecord* second = table.Add(AssignmentOf(2, 2, 0, 1));
  EXPECT_THAT(table.OfAttempt(first->assignment.key()), ElementsAre(first));
  EXPECT_THAT(table.OlderThan(second->assignment.key()), ElementsAre(first));
  EXPECT_EQ(table.HolderOf(0), nullptr);
  EXPECT_EQ(table.WaiterFor(1), second);
  second->status.set_state(v1::AssignmentStatus::FAILED);
  EXPECT_EQ(table.WaiterFor(1), nullptr);
  EXPECT_EQ(first->key.ToString(), "tenants/t/jobs/j attempt 1 epoch 1 rank 0");
  table.Remove(first->key);
  EXPECT_THAT(table.All(), ElementsAre(second));
}

TEST(EventLoopTest, RunsTasksAndTimersInOrder) {
  EventLoop loop;
  std::vector<int> order;
  // Set first and due last.
  loop.After(absl::Hours(1), [&] { order.push_back(4); });
  const auto first = [&] {
    order.push_back(1);
    loop.After(absl::Milliseconds(10), [&] { order.push_back(2); });
    loop.After(absl::Milliseconds(30), [&] {
      order.push_back(3);
      loop.Stop();
    });
  };
  std::thread poster([&] { loop.Post(first); });
  poster.join();
  loop.Run();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

internal::MetricSamples LossSample(double loss) {
  internal::MetricSamples samples;
  internal::MetricSample* sample = samples.add_samples();
  sample->set_name("longspan_training_loss");
  sample->set_set(loss);
  // What an executor says about its job is not believed.
  (*sample->mutable_labels())["job_id"] = "another";
  samples.add_samples()->set_name("longspan_no_such_metric");
  return samples;
}

TEST(ExecutorMetricsTest, SeriesOfAJobEndAfterItsGrace) {
  EventLoop loop;
  MetricRegistry registry;
  ExecutorMetrics metrics(&registry, &loop, absl::Milliseconds(50));
  const std::string job = "tenants/t/jobs/j7";
  metrics.OnExecutorStart(job);
  metrics.Record(job, LossSample(2.5));
  EXPECT_THAT(registry.Text(), HasSubstr("longspan_training_loss{"));
  EXPECT_THAT(registry.Text(), HasSubstr("job_id=\"j7\""));
  EXPECT_THAT(registry.Text(), Not(HasSubstr("another")));
  metrics.OnExecutorEnd(job, 0);
  EXPECT_THAT(registry.Text(), HasSubstr("job_id=\"j7\""));
  loop.After(absl::Milliseconds(100), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_THAT(registry.Text(), Not(HasSubstr("job_id=\"j7\"")));
}

TEST(ExecutorMetricsTest, ARankThatEndedUsesNoMemory) {
  EventLoop loop;
  MetricRegistry registry;
  ExecutorMetrics metrics(&registry, &loop, absl::Minutes(2));
  const std::string job = "tenants/t/jobs/j7";
  for (const char* rank : {"0", "1"}) {
    internal::MetricSamples samples;
    internal::MetricSample* sample = samples.add_samples();
    sample->set_name("longspan_memory_used_bytes");
    sample->set_set(4096);
    (*sample->mutable_labels())["rank"] = rank;
    metrics.OnExecutorStart(job);
    metrics.Record(job, samples);
  }
  metrics.OnExecutorEnd(job, 1);
  EXPECT_THAT(registry.Text(),
              HasSubstr("used_bytes{job_id=\"j7\",rank=\"0\"} 4096"));
  EXPECT_THAT(registry.Text(),
              HasSubstr("used_bytes{job_id=\"j7\",rank=\"1\"} 0"));
}

TEST(ExecutorMetricsTest, AJobThatComesBackKeepsItsSeries) {
  EventLoop loop;
  MetricRegistry registry;
  ExecutorMetrics metrics(&registry, &loop, absl::Milliseconds(20));
  const std::string job = "tenants/t/jobs/j7";
  metrics.OnExecutorStart(job);
  metrics.Record(job, LossSample(2.5));
  metrics.OnExecutorEnd(job, 0);
  metrics.OnExecutorStart(job);
  loop.After(absl::Milliseconds(60), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_THAT(registry.Text(), HasSubstr("job_id=\"j7\""));
}

class StateDirectoryTest : public ::testing::Test {
 protected:
  StateDirectoryTest() {
    std::string pattern = ::testing::TempDir() + "/state_XXXXXX";
    LONGSPAN_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~StateDirectoryTest() override { fs::remove_all(path_); }

  std::string path_;
};

TEST_F(StateDirectoryTest, EndsARememberedProcessThatStillRuns) {
  const auto state = StateDirectory::Open(path_);
  ASSERT_TRUE(state.ok()) << state.status();
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  ASSERT_TRUE(state->RememberExecutor(child).ok());
  const auto ended = state->EndLeftovers(absl::Seconds(5));
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(*ended, 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(*state->EndLeftovers(absl::Seconds(5)), 0);
}

TEST_F(StateDirectoryTest, SparesAnotherProcessWithTheSameNumber) {
  const auto state = StateDirectory::Open(path_);
  ASSERT_TRUE(state.ok());
  // This process, remembered with another start time.
  std::ofstream(absl::StrCat(path_, "/executors/", getpid())) << 12345;
  const auto ended = state->EndLeftovers(absl::Seconds(5));
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(*ended, 0);
}

TEST_F(StateDirectoryTest, BelongsToOneDaemon) {
  const auto first = StateDirectory::Open(path_);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(StateDirectory::Open(path_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(DeviceInventoryTest, DividesTheMachineAmongItsSlots) {
  const auto info = ProbeDevices({.slots = 3});
  ASSERT_TRUE(info.ok());
  ASSERT_EQ(info->devices_size(), 3);
  const v1::Device& device = info->devices(2);
  EXPECT_EQ(device.slot(), 2);
  EXPECT_GE(device.threads(), 1);
  EXPECT_GT(device.memory_bytes(), int64_t{16} << 20);
  EXPECT_FALSE(device.instruction_set().empty());
  EXPECT_FALSE(ProbeDevices({.slots = 0}).ok());
  EXPECT_EQ(
      ProbeDevices({.slots = 1, .threads_per_slot = 7})->devices(0).threads(),
      7);
}

TEST(DeviceInventoryTest, WrongFlagsAreRefused) {
  EXPECT_EQ(ProbeDevices({.devices = "tpu"}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ProbeDevices({.slots_per_device = 0}).ok());
}

}  // namespace
}  // namespace longspan::worker
