// Ring Attention with the right product: no states travel, but the rows that
// make them (row_ring.h). A rank makes the summary of every range before it,
// backward of every range behind it, from the rows as they pass, and folds
// them as LASP-2 folds what it has gathered. So each summary is made by every
// rank that needs it, where the other methods make it once.
//
//   forward   (A_j, S_ext,j) of ranks j < r, from k, v and the gates
//   backward  dS_ext,j of ranks j > r, from q, dO and the gates; A_j again from
//             the rows where it depends on the tokens (one column of values
//             makes it)
//
// Ranges that a document's border hides from this rank are passed on and not
// computed.
#pragma once

#include <vector>

#include "worker/parallel/row_ring.h"
#include "worker/parallel/state_exchange.h"

namespace longspan::worker {

class StateRing : public StateExchange {
 public:
  StateRing(const RankContext& context, int layer, Direction direction,
            const MemoryShape& shape, const StateExchangeOperands& operands);

  // Null: nobody takes this rank's summary.
  kernels::TensorView own_state(int) const override { return {}; }
  kernels::TensorView own_decay(int) const override { return {}; }

  absl::Status Start() override { return ring_.Start(); }
  absl::Status Finish() override;

 private:
  kernels::TensorView States() const;  // [ranks, B, H, Dk, Dv]
  // Of the rows of `rank`, to its places in States() and the decays.
  absl::Status Summarise(int rank,
                         const std::vector<kernels::TensorView>& rows);
  absl::Status SummariseForward(int rank,
                                const kernels::LinearAttentionInputs& inputs);
  absl::Status SummariseBackward(int rank,
                                 const kernels::LinearAttentionInputs& inputs,
                                 kernels::ConstTensorView d_o);
  absl::Status SummariseTo(const kernels::LinearAttentionInputs& inputs,
                           kernels::TensorView state, int rank);
  // The state that leaves the last rank, to all.
  absl::Status Leave(int first);
  absl::Status Fold(int begin, int end, kernels::TensorView state);

  RowRing ring_;
};

}  // namespace longspan::worker
