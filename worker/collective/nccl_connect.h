// How a rank gets its NCCL communicator, and how it gets rid of it. Internal to
// nccl_group.
//
// Communicators are non-blocking, because a blocking one cannot be aborted. So
// every call may answer "in progress"; what it started goes on in NCCL's
// threads and must be polled until it settles.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/collective/nccl_group.h"
#include "worker/collective/nccl_library.h"
#include "worker/collective/rendezvous_store.h"

namespace longspan::worker {

using NcclTimePoint = std::chrono::steady_clock::time_point;

// Now plus `timeout`, of which a day counts at most.
NcclTimePoint NcclDeadline(absl::Duration timeout);

// Meets the other ranks. An error leaves no communicator behind.
absl::StatusOr<NcclComm> ConnectNccl(const NcclLibrary& library,
                                     const NcclGroupOptions& options,
                                     RendezvousStore& store);

// Waits until what was started on `comm` has settled: OK, NCCL's error, the
// error that `interrupted` returns, or kDeadlineExceeded. Starts with `what`.
absl::Status SettleNccl(const NcclLibrary& library, NcclComm comm,
                        const std::string& what, NcclTimePoint deadline,
                        const std::function<absl::Status()>& interrupted);

// Aborts; false if that has not ended within `timeout` and was left behind.
bool AbortNccl(const NcclLibrary& library, NcclComm comm,
               absl::Duration timeout);

}  // namespace longspan::worker
