// The mesh: how the ranks of a gang are arranged. From the outermost axis to
// the innermost:
//
//   data       replicas, each with its share of the batch; they meet in the sum
//              of the gradients only
//   sequence   the ranks that share a replica's sequences, by token range
//
// Rank r is sequence rank r % W of replica r / W: the ranks that exchange
// states are neighbours, so that a replica stays inside a node where it can.
#pragma once

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"

namespace longspan::worker {

using SequenceRank = StrongId<struct SequenceRankTag, int>;

class Mesh {
 public:
  // kInvalidArgument unless 0 <= rank < ranks and replicas divide the ranks.
  static absl::StatusOr<Mesh> Create(int ranks, int replicas, int rank);

  int ranks() const { return replicas_ * sequence_ranks_; }
  int replicas() const { return replicas_; }
  int replica() const { return rank_ / sequence_ranks_; }
  int sequence_ranks() const { return sequence_ranks_; }
  SequenceRank sequence_rank() const {
    return SequenceRank(rank_ % sequence_ranks_);
  }

 private:
  Mesh(int replicas, int sequence_ranks, int rank)
      : replicas_(replicas), sequence_ranks_(sequence_ranks), rank_(rank) {}

  int replicas_;
  int sequence_ranks_;
  int rank_;
};

}  // namespace longspan::worker
