// The exchange of rows between two layouts: every rank has its tokens with all
// heads, or all tokens with its heads (DeepSpeed Ulysses;
// common/model_spec/head_exchange_plan.h says which heads, and what it costs).
//
//     tokens [B, n_r, H, D]  of rank r   <->   heads [B, N, H_r, D]  of rank r
//
// Several operands travel together with one AllToAll: q, k, v and gates of a
// layer. Operands of the key heads (q, k) that several ranks share go to each
// of them; on the way back their parts are summed where the tokens are, in rank
// order.
//
// One object per layer and pass. Memory is the caller's.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/model_spec/head_exchange_plan.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class HeadExchange {
 public:
  // One tensor from one layout to the other, [B, tokens, heads, D] or
  // [B, tokens, heads]; either may be strided.
  struct Move {
    kernels::ConstTensorView from;
    kernels::TensorView to;
    bool of_key_heads = false;
  };

  // More than one rank. `context` and `shard` must outlive the object.
  HeadExchange(const RankContext& context, int layer, Direction direction,
               const SequenceShard& shard, int64_t heads, int64_t key_heads);

  const HeadCut& own() const { return cuts_[context_.rank()]; }

  // `staging`: HeadStagingBytes() bytes for these rows; wider types come first.
  absl::Status ToHeads(absl::Span<const Move> moves,
                       kernels::TensorView staging) const {
    return Run(moves, staging, /*to_heads=*/true);
  }
  absl::Status ToTokens(absl::Span<const Move> moves,
                        kernels::TensorView staging) const {
    return Run(moves, staging, /*to_heads=*/false);
  }

 private:
  // What travels between this rank and another: each move's part of it, dense,
  // and all of it. Nothing for this rank itself.
  struct Parcel {
    std::vector<kernels::TensorView> parts;
    kernels::TensorView bytes;
  };

  // Of one layout: this rank's tokens with rank r's heads, or rank r's tokens
  // with this rank's heads.
  template <typename View>
  View Part(const View& view, bool by_tokens, bool of_key_heads, int r) const;

  absl::Status Run(absl::Span<const Move> moves, kernels::TensorView staging,
                   bool to_heads) const;
  absl::Status Send(absl::Span<const Parcel> out,
                    absl::Span<const Parcel> in) const;
  absl::Status Copy(kernels::ConstTensorView from,
                    kernels::TensorView to) const;
  // to += from, of one key head.
  absl::Status Add(kernels::ConstTensorView from, kernels::TensorView to) const;
  // Whether rank r - 1 takes the same key head.
  bool SharesKeys(int r) const;

  const RankContext& context_;
  const TrafficTag tag_;
  const SequenceShard& shard_;
  std::vector<HeadCut> cuts_;  // by rank
};

}  // namespace longspan::worker
