// The tokens that a short convolution needs from the ranks before: K - 1 of
// them, forward their values to the right, backward their gradients to the
// left. Point to point, from whichever ranks hold them, so ranges shorter than
// K - 1 are exact too. Tokens of another document are zero.
//
// Start and Finish are apart so that other work runs while bytes move. One
// object per layer and pass, on the stack; `staging` must outlive Finish.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/communication_plan.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class ConvolutionHalo {
 public:
  // `staging` [batch * HaloStagingTokens() * channels]; null for one rank.
  ConvolutionHalo(const RankContext& context, int layer,
                  const SequenceShard& shard, int64_t kernel_size,
                  int64_t channels, kernels::TensorView staging);

  // Sends the border of x [B, n, C] (rows may be strided).
  absl::Status StartForward(kernels::ConstTensorView x);
  // halo [B, K-1, C]: the inputs before this rank's range, from other ranks
  // and from `entering` [B, K-1, C], the tail of what came before the piece
  // (null: zero).
  absl::Status FinishForward(kernels::ConstTensorView entering,
                             kernels::TensorView halo);

  // Sends d_halo [B, K-1, C] to the owners of the tokens; clears what belongs
  // to other documents.
  absl::Status StartBackward(kernels::TensorView d_halo);
  // Adds what other ranks' halos hold for this rank's tokens to d_x [B, n, C].
  absl::Status FinishBackward(kernels::TensorView d_x);

  // tail [B, K-1, C] of the whole piece, on every rank; x and halo as in the
  // forward pass. Moves K - 1 tokens from the last rank to all others.
  absl::Status LeavingTail(kernels::ConstTensorView x,
                           kernels::ConstTensorView halo,
                           kernels::TensorView tail);

 private:
  // One message: tokens that one rank owns and another rank's halo needs.
  struct Parcel {
    HaloMove move;
    kernels::TensorView staged;  // [B, tokens, C]
  };

  bool owns(const Parcel& parcel) const {
    return parcel.move.from == context_.rank();
  }
  // The parcel's rows of x or d_x [B, n, C], which this rank owns.
  template <typename View>
  View OwnedRows(const Parcel& parcel, View x) const;
  // The parcel's rows of a halo [B, K-1, C].
  kernels::TensorView HaloRows(const Parcel& parcel,
                               kernels::TensorView halo) const;

  // Sends or receives every parcel.
  absl::Status Launch(Direction direction);
  absl::Status WaitAll();
  absl::Status Copy(kernels::ConstTensorView from,
                    kernels::TensorView to) const;
  // Clears the halo rows (the last is token end - 1 of the piece) that belong
  // to another document than token `token`.
  absl::Status ClearOtherDocuments(int64_t end, int64_t token,
                                   kernels::TensorView halo) const;

  const RankContext& context_;
  const int layer_;
  const SequenceShard& shard_;
  const int64_t border_;  // K - 1
  std::vector<Parcel> parcels_;
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace longspan::worker
