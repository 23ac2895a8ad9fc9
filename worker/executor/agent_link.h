// The executor's conversation with its agent: the messages of
// proto/longspan/internal/executor.proto over descriptor 3.
//
//   AgentLink link(std::move(socket), on_lost);
//   ASSIGN_OR_RETURN(auto assignment, link.AwaitAssignment());
//   link.Send(prepared);
//   RETURN_IF_ERROR(link.AwaitStart());
//
// A Stop message sets stop(). When the socket ends, `on_lost` is called once
// by the reader thread: an executor leaves the process there, because an agent
// that is gone cannot be served and its slot must become free.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/unique_fd.h"
#include "worker/executor/executor_loop.h"
#include "worker/executor/pending_replies.h"
#include "worker/job/stop_request.h"

namespace longspan::internal {
class ExecutorAssignment;
class FromExecutor;
class ToExecutor;
}  // namespace longspan::internal

namespace longspan::worker {

class AgentLink {
 public:
  AgentLink(UniqueFd socket, std::function<void(absl::Status)> on_lost);
  // Sends what waits.
  ~AgentLink();

  // Waits for the first message. kCancelled: a stop came instead. kUnavailable:
  // the socket ended.
  absl::StatusOr<std::unique_ptr<internal::ExecutorAssignment>>
  AwaitAssignment() EXCLUDES(mu_);

  // Waits for Start; errors as above.
  absl::Status AwaitStart() EXCLUDES(mu_);

  // Set by a Stop message, and by whoever handles SIGTERM.
  StopRequest& stop() { return stop_; }
  // Like stop().Request, and ends the waits above and, before Start, those of
  // replies().
  void RequestStop(const std::string& reason) EXCLUDES(mu_);

  // Must arrive.
  void Send(const internal::FromExecutor& message);
  // Replaces the one that still waits.
  void SendLatest(const internal::FromExecutor& message);
  // False: refused, too much waits.
  bool TrySend(const internal::FromExecutor& message);

  // Waits until everything is written, for at most ten seconds.
  absl::Status Flush();

  PendingReplies& replies() { return replies_; }

 private:
  absl::Status OnFrame(const std::string& frame) EXCLUDES(mu_);
  absl::Status OnMessage(internal::ToExecutor& message) EXCLUDES(mu_);
  void OnEnd(absl::Status reason) EXCLUDES(mu_);
  absl::Status WaitStatus() REQUIRES(mu_);

  // Immutable after construction.
  const std::function<void(absl::Status)> on_lost_;

  StopRequest stop_;
  PendingReplies replies_;

  Mutex mu_;
  CondVar changed_;
  std::unique_ptr<internal::ExecutorAssignment> assignment_ GUARDED_BY(mu_);
  bool assigned_ GUARDED_BY(mu_) = false;
  bool started_ GUARDED_BY(mu_) = false;
  absl::Status ended_ GUARDED_BY(mu_);

  ExecutorLoop loop_;
};

}  // namespace longspan::worker
