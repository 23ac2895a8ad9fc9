// The process group of CUDA devices, over NCCL (nccl_library.h: which one).
//
// Order. Collectives run on a stream of the group, each after what the compute
// stream had been given when it was called; Work::Wait() makes the compute
// stream wait for that collective and does not block the host. So kernels
// that are submitted between the call and Wait() overlap with the transfer.
// With a null stream operands are host memory: small control values, which are
// staged through the device; Wait() then blocks until they are there. AllGather
// and AllReduce take host memory, the others refuse it.
//
// Values. Data is moved, never reduced, by NCCL: sums are all-to-all transfers
// of parts and the backend's Add in rank order. So every result is bitwise the
// one of the CPU groups, identical on all ranks and from run to run, which
// NCCL's own rings promise only for one topology. It costs no more bytes than a
// ring. Device sums are f32; other types and maxima take host memory.
// Sums of large buffers go in pieces, so that scratch stays below
// kNcclScratchBytes; an AllGather of equal parts that do not lie side by side
// in memory takes scratch of the size of what it receives.
//
// Failure. Communicators are non-blocking and every call has a deadline, which
// a watchdog thread enforces also for what runs on the device. A deadline or
// an error that NCCL reports breaks the group: NCCL is aborted, all later
// calls return the first error. Peers notice by NCCL (a closed socket) or by
// their own deadline. Because Wait() does not block, results are valid only if
// a later call on the group, made after synchronising the stream, succeeds:
// the end of every step is such a call. Operands of a failed work must stay
// allocated until the group is destroyed. Sizes that differ between ranks are
// a broken contract that NCCL cannot see: they end in a deadline or in garbage.
//
// An abort that hangs is left behind after ten seconds; the process is then of
// no further use and its agent kills it.
//
// Several ranks on one GPU work if they are processes with distinct values of
// NCCL_HOSTID, without P2P and shared memory (docs/operations.md): for tests.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/api/backend.h"
#include "worker/collective/process_group.h"
#include "worker/collective/rendezvous_store.h"

namespace longspan::worker {

// Bound of the scratch that a piece of a reduction takes on a device.
inline constexpr int64_t kNcclScratchBytes = int64_t{64} << 20;

struct NcclGroupOptions {
  int rank = 0;
  int size = 1;
  std::string key_prefix;  // unique per (job, attempt, epoch)
  // Of the device that the rank runs on. It makes the group's streams, moves
  // and adds. Must outlive the group.
  kernels::Backend* backend = nullptr;
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration collective_timeout = absl::Minutes(5);
};

// Rank 0 makes the NCCL id and leaves it in the store for the others. The store
// is used during the call only. kUnavailable: no NCCL, with the places that
// were tried; kDeadlineExceeded: not all ranks came.
absl::StatusOr<std::unique_ptr<ProcessGroup>> CreateNcclGroup(
    const NcclGroupOptions& options, RendezvousStore& store);

}  // namespace longspan::worker
