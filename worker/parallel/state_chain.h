// LASP-1 (arXiv 2404.02882) and All-Scan (ZeCO, arXiv 2507.01004): the state
// itself goes from rank to rank. A rank receives the state that enters it, adds
// its own range, S -> A_r S + S_ext,r, and sends the result on: whole, or in
// blocks of heads, so that the ranks behind begin before the last block left.
// Backward runs from the last rank to the first, with A_r transposed.
//
// Ranks before the state arrives do what needs none; with lasp1_serial they
// wait first, as LASP-1 was released.
#pragma once

#include <memory>
#include <vector>

#include "worker/parallel/state_exchange.h"

namespace longspan::worker {

class StateChain : public StateExchange {
 public:
  StateChain(const RankContext& context, int layer, Direction direction,
             const MemoryShape& shape, const StateExchangeOperands& operands);

  kernels::TensorView own_state(int part) const override;
  kernels::TensorView own_decay(int part) const override;

  absl::Status ReceiveFirst() override;
  absl::Status Start() override;
  absl::Status Finish() override;

 private:
  bool has_previous() const { return RankAfter(-1) >= 0; }
  bool has_next() const { return RankAfter(1) >= 0; }
  bool waits_first() const {
    return context_.method == SequenceParallel::kLasp1Serial;
  }
  // Whether the state is there before Start.
  bool arrives_early() const { return waits_first() || !has_previous(); }
  // What leaves this rank.
  kernels::TensorView outgoing() const;
  // The heads of a block as one batch element: of a state, of the decays.
  kernels::TensorView Heads(kernels::TensorView state, int64_t block) const;
  kernels::TensorView HeadDecays(int64_t block) const;

  // Asks for the first block, where one comes.
  void Begin();
  // Takes the blocks as they come and sends them on.
  absl::Status PassBlocks();
  // outgoing = A state + own.
  absl::Status Advance(int64_t block);
  // Null views: nothing.
  void Call(kernels::ConstTensorView send, kernels::TensorView receive);

  const int64_t blocks_;
  // One per call; work i brings block i.
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace longspan::worker
