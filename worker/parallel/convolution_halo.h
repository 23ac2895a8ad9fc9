// The tokens that a short convolution needs from the ranks before: K - 1 of
// them, forward their values to the right, backward their gradients to the
// left. Point to point, from whichever ranks hold them, so ranges shorter than
// K - 1 are exact too. Tokens of another document are zero.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class ConvolutionHalo {
 public:
  ConvolutionHalo(const RankContext& context, int layer,
                  const SequenceShard& shard, int64_t kernel_size,
                  int64_t channels);

  // Elements of the staging buffer: the borders sent, [B, K-1, C] twice.
  static int64_t StagingCount(const SequenceShard& shard, int64_t kernel_size,
                              int64_t channels);

  // halo [B, K-1, C]: the inputs before this rank's range, from other ranks
  // and from `entering` [B, K-1, C] (the tail of what came before the piece,
  // may be null: zero). x [B, n, C], strided rows.
  absl::Status Forward(kernels::ConstTensorView x,
                       kernels::ConstTensorView entering,
                       kernels::TensorView halo, kernels::TensorView staging);

  // Adds to d_x the gradients that other ranks' halos hold for this rank's
  // tokens. d_halo [B, K-1, C] is this rank's own. On rank 0 what belongs
  // before the piece goes to d_entering (may be null: dropped).
  absl::Status Backward(kernels::TensorView d_halo, kernels::TensorView d_x,
                        kernels::TensorView d_entering,
                        kernels::TensorView staging);

  // tail [B, K-1, C] of the whole piece, on every rank; `halo` and x as in
  // Forward. Moves (K-1) * C numbers per element from the last rank.
  absl::Status LeavingTail(kernels::ConstTensorView x,
                           kernels::ConstTensorView halo,
                           kernels::TensorView tail);

 private:
  const RankContext& context_;
  const int layer_;
  const SequenceShard& shard_;
  const int64_t border_;  // K - 1
  const int64_t channels_;
};

}  // namespace longspan::worker
