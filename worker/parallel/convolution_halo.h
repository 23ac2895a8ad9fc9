// The tokens that a short convolution needs before each part of a rank's
// (sequence_shard.h): K - 1 of them, forward their values to the right,
// backward their gradients to the left. Point to point, from whichever ranks
// hold them, so parts shorter than K - 1 are exact too; what the rank holds
// itself is copied. Tokens of another document are zero.
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
  // `staging` [parts * batch * HaloStagingTokens() * channels]; null for one
  // rank.
  ConvolutionHalo(const RankContext& context, int layer,
                  const SequenceShard& shard, int64_t kernel_size,
                  int64_t channels, kernels::TensorView staging);

  // Sends the border of x [B, n, C] (rows may be strided).
  absl::Status StartForward(kernels::ConstTensorView x);
  // halo [parts, B, K-1, C]: the inputs before each part of this rank, and from
  // `entering` [B, K-1, C], the tail of what came before the piece (null:
  // zero). x as in StartForward.
  absl::Status FinishForward(kernels::ConstTensorView x,
                             kernels::ConstTensorView entering,
                             kernels::TensorView halo);

  // Sends d_halo [parts, B, K-1, C] to the owners of the tokens; clears what
  // belongs to other documents.
  absl::Status StartBackward(kernels::TensorView d_halo);
  // Adds what halos hold for this rank's tokens to d_x [B, n, C].
  absl::Status FinishBackward(kernels::ConstTensorView d_halo,
                              kernels::TensorView d_x);

  // tail [B, K-1, C] of the whole piece, on every rank; x and halo as in the
  // forward pass. Moves K - 1 tokens from the last rank to all others. For
  // ranks of one part.
  absl::Status LeavingTail(kernels::ConstTensorView x,
                           kernels::ConstTensorView halo,
                           kernels::TensorView tail);

 private:
  // Tokens of one part that the halo of another needs: a message, unless both
  // are this rank's.
  struct Parcel {
    HaloMove move;
    int from = 0;  // ranks
    int to = 0;
    kernels::TensorView staged;  // [B, tokens, C]; null: no message
  };

  bool owns(const Parcel& parcel) const {
    return parcel.from == context_.rank();
  }
  bool needs(const Parcel& parcel) const {
    return parcel.to == context_.rank();
  }
  // The place among this rank's parts of a part of the piece that is one.
  int PlaceOf(int part) const;
  // The parcel's rows of x or d_x [B, n, C], which this rank owns.
  template <typename View>
  View OwnedRows(const Parcel& parcel, View x) const;
  // The parcel's rows of a halo [parts, B, K-1, C].
  template <typename View>
  View HaloRows(const Parcel& parcel, View halo) const;

  // Sends or receives every message.
  absl::Status Launch(Direction direction);
  absl::Status WaitAll();
  absl::Status Copy(kernels::ConstTensorView from,
                    kernels::TensorView to) const;
  // The halo of this rank's first part, where it begins with the piece: the
  // end of the entering tail.
  absl::Status TakeEntering(const ShardPart& part,
                            kernels::ConstTensorView entering,
                            kernels::TensorView halo) const;
  // Clears the rows of a halo [B, K-1, C] (the last is token end - 1 of the
  // piece) that belong to another document than token `token`.
  absl::Status ClearOtherDocuments(int64_t end, int64_t token,
                                   kernels::TensorView halo) const;
  // The same for the halos [parts, B, K-1, C] of this rank's parts.
  absl::Status ClearOtherDocuments(kernels::TensorView halos) const;

  const RankContext& context_;
  const int layer_;
  const SequenceShard& shard_;
  const int64_t border_;  // K - 1
  std::vector<Parcel> parcels_;
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace longspan::worker
