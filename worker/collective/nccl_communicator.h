// The communicator of one rank and its health. Internal to nccl_group.
//
// A communicator is whole until the first failure, which breaks it for good. A
// watchdog thread looks at NCCL's asynchronous errors and at the deadlines of
// what is in flight; when the communicator is broken it aborts NCCL, so that
// neither Break() nor a waiting caller blocks on an abort.
//
// One thread issues; Break() and health() may be called from any.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "kernels/api/stream.h"
#include "worker/collective/nccl_connect.h"
#include "worker/collective/nccl_library.h"

namespace longspan::worker {

// What an operation is called in errors, and when it must have finished.
struct NcclOperation {
  std::string what;  // "rank 1: AllGather of 64 bytes for ..."
  NcclTimePoint deadline;
};

class NcclCommunicator {
 public:
  // Takes `comm` over.
  NcclCommunicator(const NcclLibrary& library, NcclComm comm);
  // Closes, if Close() has not.
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  const NcclLibrary& library() const { return library_; }

  // OK while the communicator is whole; then the first error.
  absl::Status health() const;

  // The first call decides the error; later ones change nothing.
  void Break(absl::Status reason);

  // Makes NCCL calls, as one group, and returns when NCCL has put them into
  // their stream. A failure breaks the communicator.
  absl::Status Issue(const NcclOperation& operation,
                     const std::function<NcclResult(NcclComm)>& calls);

  // From now on the operation's deadline is enforced until `finished` passes.
  void Watch(const NcclOperation& operation,
             std::shared_ptr<const kernels::Event> finished);

  // Blocks until `finished` has passed; the first error if that never happens.
  absl::Status Await(const kernels::Event& finished);

  // Ends the communicator: a goodbye of at most five seconds while it is whole,
  // an abort otherwise. False if an abort hangs: the device may then still
  // touch operands.
  bool Close();

 private:
  struct InFlight {
    NcclOperation operation;
    std::shared_ptr<const kernels::Event> finished;
  };

  absl::Status BeginCall(const NcclOperation& operation);
  void EndCall();
  NcclResult MakeGroup(const std::function<NcclResult(NcclComm)>& calls);
  absl::Status SayGoodbye();

  void Watchdog();
  absl::Status Examine();
  absl::Status ExamineInFlight();
  void AwaitCaller();

  // Immutable after construction.
  const NcclLibrary& library_;
  const NcclComm comm_;

  mutable Mutex mu_;
  CondVar changed_;  // broken, closing, or a call has ended
  absl::Status broken_ GUARDED_BY(mu_);
  bool closing_ GUARDED_BY(mu_) = false;
  bool abort_hangs_ GUARDED_BY(mu_) = false;
  std::optional<NcclOperation> calling_ GUARDED_BY(mu_);  // inside NCCL now
  // In its stream, but not in flight before Watch().
  std::optional<NcclOperation> issued_ GUARDED_BY(mu_);
  std::deque<InFlight> in_flight_ GUARDED_BY(mu_);  // in stream order

  std::thread watchdog_;  // uses all of the above
};

}  // namespace longspan::worker
