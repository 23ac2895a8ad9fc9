// The exchange of memory states between the ranks of a linear layer, for one
// pass in one direction (docs/math.md):
//
//   forward   every rank summarises its range, (A_r, S_ext,r), and gets S_in,r,
//             the state that enters it: the ranges before it, folded from the
//             state that enters the piece
//   backward  every rank brings dS_ext,r = sum_t (q_t e^{b_t})^T do_t and gets
//             dS_r, the gradient of the state that leaves it: the ranges after
//             it, folded from the right, from zero
//
// Which bytes go where is the method's (common/model_spec/state_exchange_plan.h
// has the table). The decays A of the forward pass are kept for backward, where
// only states travel. Start and Finish are apart so that work that needs no
// other rank runs while bytes move.
//
// "Range" above is a part of the piece (sequence_shard.h), of which a rank has
// one, or two under the layout zigzag, which lasp2 knows: each part then has a
// summary, an entering state and a leaving gradient of its own.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "kernels/api/linear_attention.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/memory_state.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

// What a summary is made of, for the method whose rows travel.
struct RangeRows {
  const SequenceShard* shard = nullptr;
  kernels::LinearAttentionInputs inputs;  // documents are the shard's
  kernels::ConstTensorView d_o;           // backward
  // RowParcelBytes() bytes (row_exchange_plan.h), untouched until Finish.
  kernels::TensorView parcels;
  kernels::TensorView workspace;  // of a summary of the longest range
};

struct StateExchangeOperands {
  // Of all parts of the piece that are not empty, [parts, B, H (, Dk (, Dk))],
  // with KeepsAllDecays, else of this rank alone, [1, ...]. Forward writes
  // those that travel (`decays_travel`); the others must be there when Finish
  // is called.
  kernels::TensorView decays;
  bool decays_travel = false;
  // Forward: the state that enters the piece, contiguous; null: zero.
  kernels::ConstTensorView initial;
  // The result, [1 or 2, B, H, Dk, Dv]: S_in or dS of each part of this rank.
  kernels::TensorView state;
  // Forward: the state that leaves the piece, on every rank; may be null.
  kernels::TensorView leaving;
  // StateExchangeScratch() elements, untouched until Finish.
  kernels::TensorView scratch;
  RangeRows rows;  // used where RowsTravel
};

// One object per layer and pass. Memory is the caller's.
class StateExchange {
 public:
  virtual ~StateExchange() = default;

  // Where the caller writes the summary of this rank's first or second part
  // before Start; the decay in forward only. Null where nobody takes it.
  virtual kernels::TensorView own_state(int part) const = 0;
  virtual kernels::TensorView own_decay(int part) const = 0;

  // Called before any work of the pass: where a method that receives before it
  // computes waits.
  virtual absl::Status ReceiveFirst() { return absl::OkStatus(); }
  virtual absl::Status Start() = 0;
  // Writes the results.
  virtual absl::Status Finish() = 0;

 protected:
  StateExchange(const RankContext& context, int layer, Direction direction,
                const MemoryShape& shape, const StateExchangeOperands& operands)
      : context_(context),
        tag_({Traffic::kStateExchange, direction, layer}),
        shape_(shape),
        operands_(operands) {}

  bool forward() const { return tag_.direction == Direction::kForward; }
  // The result of one of this rank's parts, [B, H, Dk, Dv].
  kernels::TensorView state(int part = 0) const {
    return operands_.state.Select(0, part);
  }
  // The rank so many places further in the direction of the pass (negative:
  // before); -1 where there is none.
  int RankAfter(int distance) const;
  // The result where no rank is before: the initial state.
  absl::Status TakeInitial();
  // The last rank's `state`, the one that leaves the piece, to all ranks.
  absl::Status ShareLeaving(kernels::ConstTensorView state);

  const RankContext& context_;
  const TrafficTag tag_;
  const MemoryShape shape_;
  const StateExchangeOperands operands_;
};

// By context.method, one whose states travel. More than one rank.
std::unique_ptr<StateExchange> CreateStateExchange(
    const RankContext& context, int layer, Direction direction,
    const MemoryShape& shape, const StateExchangeOperands& operands);

}  // namespace longspan::worker
