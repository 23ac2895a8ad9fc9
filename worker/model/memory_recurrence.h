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
// With several ranks the local summary is on its way while the intra-chunk part
// of o is computed; then the state that enters the rank adds its part
// (state_exchange.h, by the job's method). Backward is the mirror image. Rank 0
// knows its entering state at once, the last rank that no gradient enters from
// the right: they take one pass instead of two.
//
// State: S [B, H, F, Dv (+ 1)].
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/linear_layer_form.h"
#include "kernels/api/linear_attention.h"
#include "kernels/cost/workspace.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"
#include "worker/model/qkv_path.h"
#include "worker/parallel/memory_state.h"
#include "worker/parallel/state_exchange.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

class MemoryRecurrence {
 public:
  MemoryRecurrence(const LinearAttentionSpec& spec, int layer,
                   const Parameters& parameters);

  // entering and decays, for several ranks.
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
  absl::Status RunInGang(const RankContext& context, const LayerPass& pass,
                         LayerState* state, const Inputs& inputs,
                         const Tape& tape) const;
  absl::Status Decode(const RankContext& context, const LayerPass& pass,
                      LayerState* state, const Inputs& inputs,
                      const Tape& tape) const;
  absl::Status KnowDecays(const RankContext& context, const LayerPass& pass,
                          const Tape& tape) const;
  absl::Status BackwardInGang(const RankContext& context, const LayerPass& pass,
                              const Inputs& inputs, const Tape& tape,
                              kernels::ConstTensorView d_o,
                              const kernels::LinearAttentionGradients& d_inputs,
                              kernels::TensorView workspace) const;

  // Whether the decay of a range depends on its tokens and has to travel.
  bool travels() const { return RangeDecayTravels(form_); }
  MemoryShape Memory(const LayerPass& pass) const;
  // [ranks or 1, B, H (, F (, F))] (StateExchangeOperands).
  kernels::TensorView AllocateDecays(const RankContext& context,
                                     const LayerPass& pass) const;
  kernels::TensorView AllocateState(const char* name,
                                    const RankContext& context,
                                    const LayerPass& pass) const;
  kernels::TensorView AllocateExchange(const RankContext& context,
                                       const LayerPass& pass,
                                       Direction direction) const;
  Inputs InputsOf(const LayerPass& pass, const QkvViews& qkv,
                  const Tape& tape) const;
  int64_t WorkspaceBytes(const RankContext& context, const LayerPass& pass,
                         kernels::LinearAttentionStage stage) const;
  int64_t ForwardWorkspaceBytes(const RankContext& context,
                                const LayerPass& pass) const;

  const int64_t heads_;
  const int64_t key_heads_;  // of q and k
  const LinearLayerForm form_;
  const int layer_;
  const std::vector<double> log_decays_;  // per head, constant transitions
  Tensor log_decay_operand_;              // [H] the same
};

}  // namespace longspan::worker
