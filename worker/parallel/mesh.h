// The mesh: how the ranks of a gang are arranged. One axis so far, sequence
// parallelism; a rank's coordinate on it is its place in the sequence.
#pragma once

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"

namespace longspan::worker {

using SequenceRank = StrongId<struct SequenceRankTag, int>;

class Mesh {
 public:
  // kInvalidArgument unless 0 <= rank < sequence_ranks.
  static absl::StatusOr<Mesh> Create(int sequence_ranks, int rank);

  int sequence_ranks() const { return sequence_ranks_; }
  SequenceRank sequence_rank() const { return rank_; }

 private:
  Mesh(int sequence_ranks, SequenceRank rank)
      : sequence_ranks_(sequence_ranks), rank_(rank) {}

  int sequence_ranks_;
  SequenceRank rank_;
};

}  // namespace longspan::worker
