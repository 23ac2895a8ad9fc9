// The process group of CUDA devices, over NCCL.
//
// Whether it is there is decided by linking: nccl_group.cc in CUDA builds,
// no_nccl.cc elsewhere, which answers kUnimplemented with the reason.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/collective/process_group.h"
#include "worker/collective/rendezvous_store.h"

namespace longspan::worker {

struct NcclGroupOptions {
  int rank = 0;
  int size = 1;
  int device = 0;          // ordinal among the visible CUDA devices
  std::string key_prefix;  // unique per (job, attempt, epoch)
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration collective_timeout = absl::Minutes(5);
};

// Rank 0 makes the NCCL id and leaves it in the store for the others.
absl::StatusOr<std::unique_ptr<ProcessGroup>> CreateNcclGroup(
    const NcclGroupOptions& options, RendezvousStore& store);

}  // namespace longspan::worker
