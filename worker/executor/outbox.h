// The frames that wait to be written to the agent.
//
// A job must not stop because its agent is slow, so the thread that runs the
// job only puts frames here and a writer thread sends them. The queue is
// bounded by what may be lost: a report replaces the report of its kind that
// still waits, a log line or sample is refused when too much waits, and what
// must arrive (tokens, rendezvous, the end) always enters.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace longspan::worker {

struct OutboxOptions {
  // Droppable frames are refused while more than this waits.
  size_t droppable_bytes = size_t{1} << 20;
};

class Outbox {
 public:
  using Write = std::function<absl::Status(std::string_view frame)>;

  // `write` is called by the writer thread, one frame at a time. Its first
  // error ends the writing; later frames are discarded.
  Outbox(Write write, OutboxOptions options = {});
  // Writes what waits, unless writing has failed.
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void Send(std::string frame) EXCLUDES(mu_);
  // Takes the place of the waiting replaceable frame, if there is one.
  void SendLatest(std::string frame) EXCLUDES(mu_);
  // False: refused, too much waits.
  bool TrySend(std::string frame) EXCLUDES(mu_);

  // Waits until everything is written: kDeadlineExceeded, or the write error.
  absl::Status Flush(absl::Duration timeout) EXCLUDES(mu_);

 private:
  struct Frame {
    std::string bytes;
    bool replaceable = false;
  };

  void Push(Frame frame) REQUIRES(mu_);
  void WriteFrames() EXCLUDES(mu_);

  // Immutable after construction.
  const Write write_;
  const OutboxOptions options_;

  Mutex mu_;
  CondVar changed_;
  std::deque<Frame> frames_ GUARDED_BY(mu_);
  size_t waiting_bytes_ GUARDED_BY(mu_) = 0;
  bool writing_ GUARDED_BY(mu_) = false;
  bool closing_ GUARDED_BY(mu_) = false;
  absl::Status error_ GUARDED_BY(mu_);

  std::thread writer_;
};

}  // namespace longspan::worker
