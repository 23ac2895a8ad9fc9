// The recurrence of a gang with the left product: queries stay, the rows of
// other ranges go round (common/model_spec/left_ring_plan.h), and what one
// range's tokens have of another's is a product of two tokens each,
//
//     o_t  += scale e^{b_t} sum_s (q_t . k_s) e^{A - b_s} v_s      s before r
//     dq_t += sum_s (dO'_t . v'_s) k_s                             s before r
//     dk_s += sum_t (dO'_t . v'_s) q_t                             t behind r
//     dv_s += e^{A - b_s} sum_t (q_t . k_s) dO'_t                  t behind r
//
// with dO'_t = scale e^{b_t} dO_t and v'_s = e^{A - b_s} v_s, which carry all
// decays (worker/parallel/range_decay.h). No state is ever made between ranks;
// inside its own range a rank computes in chunks as one rank would.
//
// The gradient of a gate needs the tokens behind it on all ranks. Of products
// of two ranges p_s = dO_s . o_s - v_s . dv_s is what token s has as a query
// less what it has as a key; sums of p over ranks go to all of them.
#pragma once

#include <utility>
#include <vector>

#include "common/model_spec/left_ring_plan.h"
#include "worker/model/gang_recurrence.h"
#include "worker/parallel/range_decay.h"
#include "worker/parallel/row_ring.h"

namespace longspan::worker {

class RecurrenceByLeftRing : public GangRecurrence {
 public:
  explicit RecurrenceByLeftRing(RecurrenceParts parts)
      : parts_(std::move(parts)) {}

  // outer, where there are gates.
  void AllocateTape(const RankContext& context, const LayerPass& pass,
                    LinearAttentionTape& tape) const override;
  // kUnimplemented with a state, and for CheckLeftProduct's.
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
  using Inputs = kernels::LinearAttentionInputs;
  using Gradients = kernels::LinearAttentionGradients;
  using Rows = std::vector<kernels::TensorView>;

  // What a pass works with besides its operands.
  struct Scratch {
    kernels::TensorView parcels;
    // v' of a range [B, longest, H, Dv]; in the end own sums, decayed.
    kernels::TensorView values;
    kernels::TensorView d_o;     // dO' of a range; backward
    kernels::TensorView scores;  // [kLeftRingQueries * longest]
    kernels::TensorView outer;   // o's part of other ranges, before e^{b_t}
    kernels::TensorView outer_d_v;
  };

  bool gated() const { return parts_.form.decay == StateDecay::kPerHead; }
  LeftRingShape ShapeOf(const RankContext& context,
                        const LayerPass& pass) const;
  int64_t WorkspaceBytes(const RankContext& context, const LayerPass& pass,
                         kernels::LinearAttentionStage stage) const;
  kernels::TensorView AllocateValues(const char* name,
                                     const RankContext& context,
                                     const LayerPass& pass,
                                     int64_t tokens) const;
  Scratch Allocate(const RankContext& context, const LayerPass& pass,
                   const LinearAttentionTape& tape, bool forward) const;
  RangeDecay DecayOf(const RankContext& context, const LayerPass& pass,
                     int rank, kernels::ConstTensorView log_gate) const;
  std::vector<double> NothingBetween(const LayerPass& pass) const {
    return std::vector<double>(pass.shard->batch() * parts_.heads);
  }

  // Calls use(rank, its log gates or null, its keys, its values), downwards of
  // queries and dO, for every shard that no document hides, the nearest first.
  template <typename Use>
  absl::Status ForEachShard(const LayerPass& pass, RowRing& ring,
                            const Use& use) const;
  // Upwards: calls use(keys, values decayed up to this range), which lie in
  // `buffer`.
  template <typename Use>
  absl::Status ForEachEarlier(const RankContext& context, const LayerPass& pass,
                              RowRing& ring, kernels::TensorView buffer,
                              const Use& use) const;

  // Upwards, in a ring that has begun: dq of own queries. Downwards: dk and dv
  // of own keys.
  absl::Status QueryGradients(const RankContext& context, const LayerPass& pass,
                              const Inputs& inputs,
                              kernels::ConstTensorView d_o,
                              const Gradients& d_inputs, const Scratch& scratch,
                              RowRing& ring, std::vector<double>& totals) const;
  absl::Status KeyGradients(const RankContext& context, const LayerPass& pass,
                            const Inputs& inputs, kernels::ConstTensorView d_o,
                            const Gradients& d_inputs, const Scratch& scratch,
                            std::vector<double>& totals) const;
  // d_log_gate of what lies on later ranks.
  absl::Status AddLaterRanks(const RankContext& context,
                             const std::vector<double>& totals,
                             kernels::TensorView d_log_gate) const;

  const RecurrenceParts parts_;
};

}  // namespace longspan::worker
