// The executor's end of the agent's socket: a reader thread that hands frames
// over, and an outbox with its writer thread. Knows nothing of messages.
//
//   ExecutorLoop loop(std::move(fd), {.on_frame = ..., .on_end = ...});
//   loop.Start();
//   loop.outbox().Send(frame);
//
// on_frame and on_end are called by the reader thread; on_end once, last, with
// the reason why nothing more can be read. An error from on_frame (a message
// that makes no sense) ends the loop with it.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "common/base/unique_fd.h"
#include "worker/executor/frame_socket.h"
#include "worker/executor/outbox.h"

namespace longspan::worker {

struct ExecutorLoopHandlers {
  std::function<absl::Status(std::string frame)> on_frame;
  std::function<void(absl::Status reason)> on_end;
};

class ExecutorLoop {
 public:
  ExecutorLoop(UniqueFd socket, ExecutorLoopHandlers handlers);
  // Sends what waits in the outbox, then ends the reader.
  ~ExecutorLoop();
  ExecutorLoop(const ExecutorLoop&) = delete;
  ExecutorLoop& operator=(const ExecutorLoop&) = delete;

  // Begins reading. Frames that came earlier wait in the socket.
  void Start();

  Outbox& outbox() { return outbox_; }

 private:
  void ReadFrames();
  absl::Status ReadUntilError();

  // Immutable after construction.
  const ExecutorLoopHandlers handlers_;

  FrameSocket socket_;
  Outbox outbox_;
  std::thread reader_;
};

}  // namespace longspan::worker
