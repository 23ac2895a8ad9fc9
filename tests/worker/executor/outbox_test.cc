#include "worker/executor/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace longspan::worker {
namespace {

using testing::ElementsAre;

// A reader that stands still until it is let go.
class Gate {
 public:
  absl::Status Write(std::string_view frame) {
    MutexLock lock(mu_);
    ++entered_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mu_);
    frames_.emplace_back(frame);
    return absl::OkStatus();
  }
  void AwaitWriter() {
    MutexLock lock(mu_);
    while (entered_ == 0) changed_.Wait(mu_);
  }
  void Open() {
    MutexLock lock(mu_);
    open_ = true;
    changed_.NotifyAll();
  }
  std::vector<std::string> frames() {
    MutexLock lock(mu_);
    return frames_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool open_ = false;
  int entered_ = 0;
  std::vector<std::string> frames_;
};

Outbox::Write Into(Gate& gate) {
  return [&gate](std::string_view frame) { return gate.Write(frame); };
}

TEST(OutboxTest, KeepsOrderAndReplacesTheWaitingReport) {
  Gate gate;
  Outbox outbox(Into(gate));
  outbox.Send("first");
  gate.AwaitWriter();
  outbox.SendLatest("progress 1");
  outbox.Send("token");
  outbox.SendLatest("progress 2");
  gate.Open();
  ASSERT_TRUE(outbox.Flush(absl::Seconds(10)).ok());
  EXPECT_THAT(gate.frames(), ElementsAre("first", "progress 2", "token"));
}

TEST(OutboxTest, RefusesDroppableFramesWhenTooMuchWaits) {
  Gate gate;
  Outbox outbox(Into(gate), {.droppable_bytes = 10});
  outbox.Send("first");
  gate.AwaitWriter();
  EXPECT_TRUE(outbox.TrySend("0123456789a"));
  EXPECT_FALSE(outbox.TrySend("b"));
  outbox.Send("must arrive");
  gate.Open();
  ASSERT_TRUE(outbox.Flush(absl::Seconds(10)).ok());
  EXPECT_THAT(gate.frames(),
              ElementsAre("first", "0123456789a", "must arrive"));
  EXPECT_TRUE(outbox.TrySend("c"));
}

TEST(OutboxTest, DestructionWritesWhatWaits) {
  Gate gate;
  gate.Open();
  {
    Outbox outbox(Into(gate));
    for (int i = 0; i < 100; ++i) outbox.Send(std::to_string(i));
  }
  EXPECT_EQ(gate.frames().size(), 100u);
}

TEST(OutboxTest, FlushGivesUpOnASilentReader) {
  Gate gate;
  Outbox outbox(Into(gate));
  outbox.Send("never read");
  EXPECT_EQ(outbox.Flush(absl::Milliseconds(5)).code(),
            absl::StatusCode::kDeadlineExceeded);
  gate.Open();
}

TEST(OutboxTest, ReportsTheWriteError) {
  Outbox outbox(
      [](std::string_view) { return absl::UnavailableError("closed"); });
  outbox.Send("a");
  EXPECT_EQ(outbox.Flush(absl::Seconds(10)).code(),
            absl::StatusCode::kUnavailable);
  outbox.Send("discarded");
  EXPECT_EQ(outbox.Flush(absl::Seconds(10)).code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace longspan::worker
