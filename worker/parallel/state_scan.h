// The log-step scan (Hillis and Steele): in round i every rank sends what the
// last 2^i ranks up to itself do to a state, and takes the same of the rank 2^i
// before it, so that after log2(W) rounds it knows what all ranks before it do.
//
//     X = summary of the ranks [r - 2^i + 1, r - 1]     nothing in round 0
//     send to r + 2^i:     own . X
//     from r - 2^i:        R, of the ranks [r - 2^(i+1) + 1, r - 2^i]
//     X <- X . R
//
// where (A2, S2) . (A1, S1) = (A2 A1, A2 S1 + S2). At the end the state that
// enters the piece goes through X. Backward runs from the last rank to the
// first, with A transposed. Decays travel with the states in both directions.
#pragma once

#include <memory>

#include "worker/parallel/state_exchange.h"

namespace longspan::worker {

class StateScan : public StateExchange {
 public:
  StateScan(const RankContext& context, int layer, Direction direction,
            const MemoryShape& shape, const StateExchangeOperands& operands);

  kernels::TensorView own_state(int part) const override;
  kernels::TensorView own_decay(int part) const override;

  // Sends this rank's own summary.
  absl::Status Start() override;
  absl::Status Finish() override;

 private:
  // A summary in scratch memory.
  struct Pair {
    kernels::TensorView all;    // state and decay, flat
    kernels::TensorView state;  // [B, H, Dk, Dv]
    kernels::TensorView decay;  // [B, H (, Dk (, Dk))]
  };

  Pair PairAt(int slot) const;

  bool Sends(int distance) const { return RankAfter(distance) >= 0; }
  bool Receives(int distance) const { return RankAfter(-distance) >= 0; }

  // The round of that distance: starts it, and takes what came.
  absl::Status Launch(int distance);
  absl::Status Land(int distance);
  // to = later . earlier; `spare` is overwritten.
  absl::Status Compose(const Pair& later, const Pair& earlier,
                       const Pair& spare, const Pair& to);
  absl::Status ComposeDecays(const Pair& later, const Pair& earlier,
                             const Pair& spare, const Pair& to);
  // state = A initial + S of the pair.
  absl::Status Apply(const Pair& pair, kernels::ConstTensorView initial,
                     kernels::TensorView state);

  const Pair own_;
  const Pair sent_;
  Pair received_;
  Pair before_;  // X
  Pair next_;    // X of the next round
  bool has_before_ = false;
  std::unique_ptr<Work> work_;
};

}  // namespace longspan::worker
