#include "worker/executor/executor_loop.h"

#include <utility>

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

// How long an executor that has finished waits for a silent agent.
constexpr absl::Duration kFlushTimeout = absl::Seconds(10);

}  // namespace

ExecutorLoop::ExecutorLoop(UniqueFd socket, ExecutorLoopHandlers handlers)
    : handlers_(std::move(handlers)),
      socket_(std::move(socket)),
      outbox_([this](std::string_view frame) { return socket_.Write(frame); }) {
}

ExecutorLoop::~ExecutorLoop() {
  (void)outbox_.Flush(kFlushTimeout);
  socket_.Shutdown();
  if (reader_.joinable()) reader_.join();
}

void ExecutorLoop::Start() {
  reader_ = std::thread([this] { ReadFrames(); });
}

void ExecutorLoop::ReadFrames() { handlers_.on_end(ReadUntilError()); }

absl::Status ExecutorLoop::ReadUntilError() {
  while (true) {
    ASSIGN_OR_RETURN(std::string frame, socket_.Read());
    RETURN_IF_ERROR(handlers_.on_frame(std::move(frame)));
  }
}

}  // namespace longspan::worker
