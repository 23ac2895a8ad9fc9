// LASP-2: the exchange of memory states between ranks, one AllGather per layer
// and direction (arXiv 2502.07563, with the corrections of docs/math.md).
//
//   forward   every rank summarises its range, (A_r, S_ext,r);
//             AllGather; S_in,r = fold over j < r, from the entering state
//   backward  every rank sends dS_ext,r = sum_t (q_t e^{b_t})^T do_t;
//             AllGather; dS_r = fold over j > r from the right
//
// The decays A of the forward pass are kept and used again in backward, where
// only dS_ext travels. Start and Finish are apart so that intra-chunk work runs
// while bytes move.
//
// One object per layer and pass, on the stack. Buffers come from the caller.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/memory_state.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class StateExchange {
 public:
  // `buffer` [ranks, RowCount(shape, decays travel)] scratch until the end of
  // the pass; the caller writes this rank's summary into own_state() (and
  // own_decay()) before Start.
  StateExchange(const RankContext& context, int layer, const MemoryShape& shape,
                kernels::TensorView buffer);

  kernels::TensorView own_state() const { return summaries_.State(rank_); }
  kernels::TensorView own_decay() const { return summaries_.Decay(rank_); }

  absl::Status Start(Direction direction);

  absl::Status Wait();

  // Forward, with decays that travelled: keeps those of all ranks in `decays`
  // [ranks, B, H], [ranks, B, H, Dk] for a decay per row, or [ranks, B, H, Dk,
  // Dk] for matrices.
  absl::Status KeepDecays(kernels::TensorView decays) const;

  // S_in of this rank: the ranks before it, starting from `entering` (may be
  // null: zero). `state` must not be the memory of `entering`.
  absl::Status FoldBefore(kernels::ConstTensorView decays,
                          kernels::ConstTensorView entering,
                          kernels::TensorView state);
  // The state that leaves the last rank, likewise.
  absl::Status FoldAll(kernels::ConstTensorView decays,
                       kernels::ConstTensorView entering,
                       kernels::TensorView state);
  // dS of the state that leaves this rank: the ranks after it, from the right,
  // starting from zero.
  absl::Status FoldAfter(kernels::ConstTensorView decays,
                         kernels::TensorView d_state);

 private:
  absl::Status Fold(kernels::ConstTensorView decays, int begin, int end,
                    kernels::ConstTensorView initial, bool reverse,
                    kernels::TensorView state);

  const RankContext& context_;
  const int layer_;
  const int rank_;
  SummaryBuffer summaries_;
  std::unique_ptr<Work> work_;
};

}  // namespace longspan::worker
