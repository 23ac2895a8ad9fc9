// Ranks of an NCCL group as threads: each with a queued device (a stream that
// runs later), over the fake NCCL of this build.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "kernels/api/backend.h"
#include "tests/support/rendezvous_stores.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

struct NcclRank {
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<kernels::Stream> stream;  // of the kernels
  std::unique_ptr<ProcessGroup> group;

  // What a step does at its end: waits for `work`, then for the stream.
  absl::Status Finish(std::unique_ptr<Work> work);
};

// Makes LONGSPAN_NCCL_LIBRARY name the fake, with these faults.
void UseFakeNccl(const std::string& faults);

// One rank, connected.
absl::StatusOr<NcclRank> ConnectNcclRank(int rank, int size,
                                         testing::MemoryRendezvousStore& store,
                                         absl::Duration connect_timeout);

// Connects `size` ranks and calls `body` for each in its own thread, which
// also destroys it; statuses by rank.
std::vector<absl::Status> OnNcclRanks(
    int size, const std::string& faults,
    const std::function<absl::Status(NcclRank&)>& body);

}  // namespace longspan::worker
