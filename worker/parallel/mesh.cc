#include "worker/parallel/mesh.h"

#include "absl/strings/str_cat.h"

namespace longspan::worker {

absl::StatusOr<Mesh> Mesh::Create(int ranks, int replicas, int rank) {
  if (ranks < 1 || rank < 0 || rank >= ranks) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank, " is not one of ", ranks, " ranks"));
  }
  if (replicas < 1 || ranks % replicas != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        ranks, " ranks cannot be ", replicas, " replicas of equal size"));
  }
  return Mesh(replicas, ranks / replicas, rank);
}

}  // namespace longspan::worker
