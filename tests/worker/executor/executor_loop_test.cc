#include "worker/executor/executor_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"

namespace longspan::worker {
namespace {

using testing::ElementsAre;

// What the handlers saw.
class Recorder {
 public:
  ExecutorLoopHandlers handlers() {
    return {.on_frame =
                [this](std::string frame) {
                  MutexLock lock(mu_);
                  frames_.push_back(frame);
                  return frame == "bad" ? absl::InvalidArgumentError("bad")
                                        : absl::OkStatus();
                },
            .on_end =
                [this](absl::Status reason) {
                  MutexLock lock(mu_);
                  end_ = reason;
                  changed_.NotifyAll();
                }};
  }
  absl::Status AwaitEnd() {
    MutexLock lock(mu_);
    while (!end_) changed_.Wait(mu_);
    return *end_;
  }
  std::vector<std::string> frames() {
    MutexLock lock(mu_);
    return frames_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<std::string> frames_;
  std::optional<absl::Status> end_;
};

class ExecutorLoopTest : public testing::Test {
 protected:
  ExecutorLoopTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    executor_end_ = UniqueFd(fds[0]);
    agent_.emplace(UniqueFd(fds[1]));
  }

  UniqueFd executor_end_;
  std::optional<FrameSocket> agent_;
  Recorder recorder_;
};

TEST_F(ExecutorLoopTest, CarriesFramesBothWaysAndReportsTheEnd) {
  ExecutorLoop loop(std::move(executor_end_), recorder_.handlers());
  ASSERT_TRUE(agent_->Write("assign").ok());  // waits in the socket
  loop.Start();
  ASSERT_TRUE(agent_->Write("start").ok());
  loop.outbox().Send("prepared");
  EXPECT_EQ(agent_->Read().value(), "prepared");
  agent_->Shutdown();
  EXPECT_EQ(recorder_.AwaitEnd().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(recorder_.frames(), ElementsAre("assign", "start"));
}

TEST_F(ExecutorLoopTest, ANonsenseFrameEndsTheLoop) {
  ExecutorLoop loop(std::move(executor_end_), recorder_.handlers());
  loop.Start();
  ASSERT_TRUE(agent_->Write("bad").ok());
  EXPECT_EQ(recorder_.AwaitEnd().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ExecutorLoopTest, DestructionSendsWhatWaits) {
  {
    ExecutorLoop loop(std::move(executor_end_), recorder_.handlers());
    loop.Start();
    loop.outbox().Send("finished");
  }
  EXPECT_EQ(agent_->Read().value(), "finished");
  EXPECT_EQ(agent_->Read().status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace longspan::worker
