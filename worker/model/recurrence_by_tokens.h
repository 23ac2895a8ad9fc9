// The recurrence of a gang whose ranks have a range of the tokens each, or two
// ranges under the layout zigzag: "parts". The local summaries are on their way
// while the intra-chunk part of o is computed; then the state that enters each
// part adds what it does (worker/parallel/state_exchange.h, by the job's
// method). Backward is the mirror image. The first part of the piece has its
// entering state at once, and no gradient enters the last one from the right:
// they take one pass instead of two.
#pragma once

#include <utility>

#include "kernels/cost/workspace.h"
#include "worker/model/gang_recurrence.h"
#include "worker/parallel/memory_state.h"
#include "worker/parallel/state_exchange.h"

namespace longspan::worker {

class RecurrenceByTokens : public GangRecurrence {
 public:
  explicit RecurrenceByTokens(RecurrenceParts parts)
      : parts_(std::move(parts)) {}

  // entering and decays.
  void AllocateTape(const RankContext& context, const LayerPass& pass,
                    LinearAttentionTape& tape) const override;
  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       LayerState* state,
                       const kernels::LinearAttentionInputs& inputs,
                       const LinearAttentionTape& tape,
                       kernels::TensorView o) const override;
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        const kernels::LinearAttentionInputs& inputs,
                        const LinearAttentionTape& tape,
                        kernels::TensorView d_o,
                        const kernels::LinearAttentionGradients& d_inputs,
                        kernels::TensorView workspace) const override;
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 const LayerPass& pass) const override;

 private:
  // Whether the decay of a range depends on its tokens and has to travel.
  bool travels() const { return RangeDecayTravels(parts_.form); }
  MemoryShape Memory(const LayerPass& pass) const;
  kernels::TensorView AllocateState(const char* name,
                                    const RankContext& context,
                                    const LayerPass& pass) const;
  // One for each part of this rank, [parts, B, H, F, Dv (+ 1)].
  kernels::TensorView AllocateStates(const char* name,
                                     const RankContext& context,
                                     const LayerPass& pass) const;
  // [parts or 1, B, H (, F (, F))] (StateExchangeOperands).
  kernels::TensorView AllocateDecays(const RankContext& context,
                                     const LayerPass& pass) const;
  kernels::TensorView AllocateExchange(const RankContext& context,
                                       const LayerPass& pass,
                                       Direction direction) const;
  // Forward: everything that needs no other rank, and then what the states
  // that entered the parts add. `entering` is that of the piece.
  absl::Status WorkAlone(const RankContext& context, const LayerPass& pass,
                         const kernels::LinearAttentionInputs& inputs,
                         kernels::ConstTensorView entering,
                         kernels::TensorView o,
                         kernels::TensorView workspace) const;
  absl::Status AddStates(const RankContext& context, const LayerPass& pass,
                         const kernels::LinearAttentionInputs& inputs,
                         const LinearAttentionTape& tape, kernels::TensorView o,
                         kernels::TensorView workspace) const;
  absl::Status KnowDecays(const RankContext& context, const LayerPass& pass,
                          const LinearAttentionTape& tape) const;
  // What other ranks need to make this one's summary; null views where states
  // travel.
  RangeRows RowsOf(const RankContext& context, const LayerPass& pass,
                   const kernels::LinearAttentionInputs& inputs,
                   kernels::ConstTensorView d_o, Direction direction,
                   kernels::TensorView workspace) const;
  int64_t WorkspaceBytes(const RankContext& context, const LayerPass& pass,
                         kernels::LinearAttentionStage stage,
                         int64_t tokens) const;
  // Of the largest part of this rank.
  int64_t PartWorkspaceBytes(const RankContext& context, const LayerPass& pass,
                             kernels::LinearAttentionStage stage) const;
  // Of the summary of any range that this rank makes.
  int64_t SummaryWorkspaceBytes(const RankContext& context,
                                const LayerPass& pass,
                                kernels::LinearAttentionStage stage) const;

  const RecurrenceParts parts_;
};

}  // namespace longspan::worker
