// Finds out whether all ranks of a mesh run on one host and, if so, sets up
// the memory that they share. Internal to gloo_group.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "worker/collective/gloo_mesh.h"
#include "worker/collective/shared_lanes.h"

namespace longspan::worker {

// Null if the ranks cannot share: other hosts, other containers, other users.
// All ranks come to the same answer. Errors are those of the mesh.
absl::StatusOr<std::unique_ptr<SharedLanes>> ShareMemory(
    GlooMesh* mesh, GlooMesh::TimePoint deadline);

}  // namespace longspan::worker
