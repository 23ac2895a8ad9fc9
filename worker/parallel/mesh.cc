#include "worker/parallel/mesh.h"

#include "absl/strings/str_cat.h"

namespace longspan::worker {

absl::StatusOr<Mesh> Mesh::Create(int sequence_ranks, int rank) {
  if (sequence_ranks < 1 || rank < 0 || rank >= sequence_ranks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rank ", rank, " is not one of ", sequence_ranks, " sequence ranks"));
  }
  return Mesh(sequence_ranks, SequenceRank(rank));
}

}  // namespace longspan::worker
