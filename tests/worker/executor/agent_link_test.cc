#include "worker/executor/agent_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <thread>

#include "common/log/log.h"
#include "longspan/internal/executor.pb.h"
#include "worker/executor/agent_rendezvous.h"
#include "worker/executor/agent_reporter.h"

namespace longspan::worker {
namespace {

using internal::FromExecutor;
using internal::ToExecutor;

class AgentLinkTest : public testing::Test {
 protected:
  AgentLinkTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    agent_.emplace(UniqueFd(fds[1]));
    link_.emplace(UniqueFd(fds[0]), [this](absl::Status reason) {
      MutexLock lock(mu_);
      lost_ = reason;
      changed_.NotifyAll();
    });
    assignment_.mutable_assignment()->mutable_key()->set_job("j");
    assignment_.mutable_assignment()->mutable_key()->set_epoch(3);
    assignment_.mutable_assignment()->set_rank(1);
    assignment_.mutable_assignment()->mutable_rendezvous_timeout()->set_seconds(
        10);
  }

  void Tell(const ToExecutor& message) {
    ASSERT_TRUE(agent_->Write(message.SerializeAsString()).ok());
  }
  FromExecutor Hear() {
    FromExecutor message;
    EXPECT_TRUE(message.ParseFromString(agent_->Read().value()));
    return message;
  }
  absl::Status AwaitLost() {
    MutexLock lock(mu_);
    while (!lost_) changed_.Wait(mu_);
    return *lost_;
  }

  internal::ExecutorAssignment assignment_;
  Mutex mu_;
  CondVar changed_;
  std::optional<absl::Status> lost_;
  std::optional<FrameSocket> agent_;
  std::optional<AgentLink> link_;
};

TEST_F(AgentLinkTest, AssignmentThenStart) {
  ToExecutor assign;
  *assign.mutable_assign() = assignment_;
  Tell(assign);
  EXPECT_EQ(link_->AwaitAssignment().value()->assignment().key().job(), "j");
  ToExecutor start;
  start.mutable_start();
  Tell(start);
  EXPECT_TRUE(link_->AwaitStart().ok());
  EXPECT_FALSE(link_->stop().requested());
}

TEST_F(AgentLinkTest, AStopEndsTheWaits) {
  ToExecutor stop;
  stop.mutable_stop()->set_reason("cancelled by ana");
  Tell(stop);
  const absl::Status status = link_->AwaitAssignment().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("cancelled by ana"));
  EXPECT_EQ(link_->AwaitStart().code(), absl::StatusCode::kCancelled);
}

TEST_F(AgentLinkTest, TheEndOfTheSocketEndsTheWaits) {
  agent_->Shutdown();
  EXPECT_EQ(AwaitLost().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(link_->AwaitStart().code(), absl::StatusCode::kUnavailable);
}

TEST_F(AgentLinkTest, NonsenseLosesTheAgent) {
  ASSERT_TRUE(agent_->Write("\xff\xff\xff").ok());
  EXPECT_THAT(std::string(AwaitLost().message()),
              testing::HasSubstr("not a ToExecutor"));
}

TEST_F(AgentLinkTest, RendezvousAsksAndIsAnswered) {
  AgentRendezvous store(*link_, assignment_.assignment());
  std::thread agent([&] {
    const FromExecutor set = Hear();
    EXPECT_EQ(set.rendezvous().set().key(), "address/1");
    EXPECT_EQ(set.rendezvous().set().value(), "10.0.0.1:99");
    EXPECT_EQ(set.rendezvous().key().epoch(), 3);
    EXPECT_EQ(set.rendezvous().rank(), 1);
    ToExecutor done;
    done.mutable_rendezvous()->set_id(set.rendezvous().id());
    Tell(done);

    const FromExecutor get = Hear();
    EXPECT_EQ(get.rendezvous().get(), "address/0");
    ToExecutor reply;
    reply.mutable_rendezvous()->set_id(get.rendezvous().id());
    reply.mutable_rendezvous()->set_value("10.0.0.2:77");
    Tell(reply);
  });
  EXPECT_TRUE(store.Set("address/1", "10.0.0.1:99").ok());
  EXPECT_EQ(store.Get("address/0", absl::Seconds(10)).value(), "10.0.0.2:77");
  agent.join();
}

TEST_F(AgentLinkTest, RendezvousErrorsNameTheKey) {
  AgentRendezvous store(*link_, assignment_.assignment());
  std::thread agent([&] {
    const FromExecutor get = Hear();
    ToExecutor reply;
    reply.mutable_rendezvous()->set_id(get.rendezvous().id());
    reply.mutable_rendezvous()->set_error("stale epoch");
    Tell(reply);
  });
  const absl::Status refused = store.Get("a", absl::Seconds(10)).status();
  EXPECT_THAT(std::string(refused.message()),
              testing::AllOf(testing::HasSubstr("rendezvous key a"),
                             testing::HasSubstr("stale epoch")));
  agent.join();
  EXPECT_EQ(store.Get("b", absl::Milliseconds(1)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  store.Abort();
  EXPECT_EQ(store.Get("c", absl::Seconds(10)).status().code(),
            absl::StatusCode::kAborted);
}

TEST_F(AgentLinkTest, AStopBeforeStartEndsTheRendezvous) {
  AgentRendezvous store(*link_, assignment_.assignment());
  std::thread agent([&] {
    EXPECT_EQ(Hear().rendezvous().get(), "never set");
    ToExecutor stop;
    stop.mutable_stop()->set_reason("cancelled");
    Tell(stop);
  });
  EXPECT_EQ(store.Get("never set", absl::Minutes(5)).status().code(),
            absl::StatusCode::kCancelled);
  agent.join();
}

TEST_F(AgentLinkTest, ReportsCarryLabelsAndMemory) {
  assignment_.mutable_assignment()->mutable_plan()->add_ranks();
  assignment_.mutable_assignment()
      ->mutable_plan()
      ->add_ranks()
      ->mutable_memory()
      ->set_total(12345);
  const MemoryProbe memory;
  AgentReporter reporter(*link_, assignment_, SystemClock::Get(), memory);
  reporter.Metrics({{.metric = MetricId::kStepPhase,
                     .value = 2.0,
                     .labels = {{"phase", "compute"}}}});
  const FromExecutor metrics = Hear();
  bool found = false;
  for (const internal::MetricSample& sample : metrics.metrics().samples()) {
    if (sample.name() != "longspan_step_phase_seconds_total") continue;
    found = true;
    EXPECT_EQ(sample.add(), 2.0);
    EXPECT_EQ(sample.labels().at("job_id"), "j");
    EXPECT_EQ(sample.labels().at("rank"), "1");
    EXPECT_EQ(sample.labels().at("phase"), "compute");
  }
  EXPECT_TRUE(found);

  reporter.Progress({.done = 5, .unit = "steps", .phase = "training"});
  const FromExecutor progress = Hear();
  EXPECT_EQ(progress.progress().done(), 5);
  EXPECT_EQ(progress.progress().memory_planned_bytes(), 12345);
  EXPECT_FALSE(progress.progress().has_remaining());
  EXPECT_GT(progress.progress().update_time().seconds(), 0);

  reporter.Tokens({{.id = 65, .text = "A", .log_probability = -0.5}});
  const FromExecutor tokens = Hear();
  EXPECT_EQ(tokens.tokens().tokens(0).text(), "A");
  EXPECT_EQ(tokens.tokens().tokens(0).log_probability(), -0.5);
}

TEST_F(AgentLinkTest, LogLinesGoToTheJobAsTheyAreAndToStderrAsJson) {
  assignment_.set_json_log(true);
  const MemoryProbe memory;
  AgentReporter reporter(*link_, assignment_, SystemClock::Get(), memory);
  std::vector<std::string> lines;
  LogOptions options;
  options.format = LogFormat::kJson;
  options.sink = [&](std::string_view line) { lines.emplace_back(line); };
  ConfigureLogging(options);
  reporter.AtStep(5);
  reporter.Log(LogSeverity::kWarning, "loss 2", {{"loss", 2.0}});
  ConfigureLogging(LogOptions());
  ClearLogContext();
  EXPECT_EQ(Hear().log().data(), "loss 2\n");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], testing::HasSubstr("\"level\":\"warning\""));
  EXPECT_THAT(lines[0], testing::HasSubstr("\"message\":\"loss 2\",\"step\":5,"
                                           "\"loss\":2}"));
}

}  // namespace
}  // namespace longspan::worker
