// The recurrence that every linear attention layer runs on, under sequence
// parallelism:
//
//     S_t = a_t S_{t-1} + k_t^T v_t,   o_t = scale * q_t S_t
//
// q and k are features, v may have the normaliser's column (QkvPath); the decay
// a_t is 1, a constant per head, a gate per head or a gate per channel of k
// (common/model_spec/linear_layer_form.h). With the delta rule v_t is
// beta_t (v_t - k_t a_t S_{t-1}), and what a range does to a state is a matrix.
//
// How several ranks share it is gang_recurrence.h's.
//
// State: S [B, H, F, Dv (+ 1)].
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/linear_layer_form.h"
#include "kernels/api/linear_attention.h"
#include "kernels/cost/workspace.h"
#include "worker/model/gang_recurrence.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"
#include "worker/model/qkv_path.h"
#include "worker/model/recurrence_by_heads.h"
#include "worker/model/recurrence_by_left_ring.h"
#include "worker/model/recurrence_by_tokens.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

class MemoryRecurrence {
 public:
  // `log_decays`: per head, of constant transitions.
  MemoryRecurrence(const LinearAttentionSpec& spec, int layer,
                   const Parameters& parameters,
                   std::vector<double> log_decays);

  // What several ranks exchange (GangRecurrence).
  void AllocateTape(const RankContext& context, const LayerPass& pass,
                    LinearAttentionTape& tape) const;

  // Reads q, k and v at `qkv`, gate and beta on the tape; writes tape.sums
  // where there is such a buffer, else tape.o. `state` as in Mixer::Mix.
  // Scratch comes from the arena.
  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       LayerState* state, const QkvViews& qkv,
                       const LinearAttentionTape& tape) const;

  // From d.d_sums or d.d_o to `d_qkv`, d.d_log_gate and d.d_beta.
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        const QkvViews& qkv, const LinearAttentionTape& tape,
                        const LinearAttentionLayerGradients& d,
                        const QkvViews& d_qkv,
                        kernels::TensorView workspace) const;
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 const LayerPass& pass) const;

 private:
  using Tape = LinearAttentionTape;
  using Inputs = kernels::LinearAttentionInputs;

  absl::Status RunAlone(const RankContext& context, const LayerPass& pass,
                        LayerState* state, const Inputs& inputs,
                        const Tape& tape) const;
  absl::Status Decode(const RankContext& context, const LayerPass& pass,
                      LayerState* state, const Inputs& inputs,
                      const Tape& tape) const;
  // Of several ranks, by the method.
  const GangRecurrence& gang(const RankContext& context) const {
    if (HeadsTravel(context.method)) return by_heads_;
    if (context.method == SequenceParallel::kRingLeft) return by_left_ring_;
    return by_tokens_;
  }
  kernels::TensorView AllocateLeaving(const RankContext& context,
                                      const LayerPass& pass) const;
  // Without documents: a gang gives each run of tokens its own.
  Inputs InputsOf(const QkvViews& qkv, const Tape& tape) const;
  int64_t WorkspaceBytes(const RankContext& context, const LayerPass& pass,
                         kernels::LinearAttentionStage stage) const;

  const RecurrenceParts parts_;
  const RecurrenceByTokens by_tokens_;
  const RecurrenceByHeads by_heads_;
  const RecurrenceByLeftRing by_left_ring_;
  Tensor log_decay_operand_;  // [H], constant transitions
};

}  // namespace longspan::worker
