// What a rank computes with, whatever its job: backend, stream, place in the
// mesh and the process group.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "worker/collective/process_group.h"
#include "worker/collective/rendezvous_store.h"
#include "worker/parallel/rank_context.h"

namespace longspan::internal {
class ExecutorAssignment;
}

namespace longspan::worker {

// Owns what its context points to. Destroyed after the job.
struct RankSetup {
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<kernels::Stream> stream;
  std::unique_ptr<ProcessGroup> group;     // as in the context
  std::unique_ptr<ProcessGroup> replicas;  // likewise
  RankContext context;                     // without an arena
};

// Checks the assignment against itself (ranks, mesh, token ranges), creates
// the backend and meets the other ranks through the store. A rank of the
// backend cuda has ordinal 0, and must see no other GPU. Every error names what
// was wrong: kInvalidArgument, kUnimplemented for what this build lacks,
// kFailedPrecondition for more or fewer GPUs than one, or the error of the
// connection.
absl::StatusOr<RankSetup> SetUpRank(
    const internal::ExecutorAssignment& assignment, RendezvousStore& store);

}  // namespace longspan::worker
