// Linear attention under sequence parallelism (LASP-2): basic, Lightning,
// Retention and simple GLA.
//
//     q, k, v, g, a = split(x W^T)
//     q, k, v  <- convolution, feature map, rotary          see qkv_path.h
//     log a_t  =  logsigmoid(a + bias) / 16                 simple GLA only
//     S_t      =  a_t S_{t-1} + k_t^T v_t,   o_t = Dk^-1/2 q_t S_t
//     y        =  (norm_per_head(o) * silu(g)) Wo^T         gate optional
//
// With several ranks the local summary is gathered while the intra-chunk part
// of o is computed; then the state that enters the rank adds its part
// (state_exchange.h). Backward is the mirror image. Rank 0 knows its entering
// state at once, the last rank that no gradient enters from the right: they
// take one pass instead of two.
//
// State: S [B, H, Dk, Dv] and the convolution's last K-1 inputs.
#pragma once

#include <string>
#include <vector>

#include "common/model_spec/model_spec.h"
#include "common/model_spec/projection_widths.h"
#include "kernels/api/linear_attention.h"
#include "kernels/cost/workspace.h"
#include "worker/model/linear_weight.h"
#include "worker/model/mixer.h"
#include "worker/model/norm.h"
#include "worker/model/parameters.h"
#include "worker/model/qkv_path.h"
#include "worker/parallel/memory_state.h"
#include "worker/parallel/state_exchange.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

class LinearAttentionLayer : public Mixer {
 public:
  LinearAttentionLayer(const ModelSpec& spec, int layer,
                       const Parameters& parameters);

  MixerTape AllocateTape(const RankContext& context,
                         const LayerPass& pass) const override;
  MixerGradients AllocateGradients(const RankContext& context,
                                   const LayerPass& pass) const override;

  absl::Status Prepare(const RankContext& context, const LayerPass& pass,
                       LayerState* state, MixerTape& tape) override;
  absl::Status Project(const RankContext& context, const LayerPass& pass,
                       RowRange rows, kernels::ConstTensorView input,
                       MixerTape& tape) override;
  absl::Status Mix(const RankContext& context, const LayerPass& pass,
                   LayerState* state, MixerTape& tape) override;
  absl::Status Output(const RankContext& context, RowRange rows,
                      MixerTape& tape, kernels::TensorView residual) override;

  absl::Status OutputBackward(const RankContext& context, RowRange rows,
                              kernels::ConstTensorView d_output,
                              MixerTape& tape,
                              MixerGradients& gradients) override;
  absl::Status MixBackward(const RankContext& context, const LayerPass& pass,
                           MixerTape& tape, MixerGradients& gradients) override;
  absl::Status ProjectBackward(const RankContext& context, RowRange rows,
                               kernels::ConstTensorView input, MixerTape& tape,
                               MixerGradients& gradients,
                               kernels::TensorView d_input) override;

 private:
  using Tape = LinearAttentionTape;
  using Gradients = LinearAttentionLayerGradients;

  absl::Status RecurAlone(const RankContext& context, const LayerPass& pass,
                          LayerState* state, const Tape& tape) const;
  absl::Status RecurInGang(const RankContext& context, const LayerPass& pass,
                           LayerState* state, const Tape& tape) const;
  absl::Status KeepDecays(const RankContext& context, const LayerPass& pass,
                          const StateExchange& exchange,
                          const Tape& tape) const;
  absl::Status LeaveState(const RankContext& context, const LayerPass& pass,
                          StateExchange& exchange, const Tape& tape,
                          LayerState& state) const;
  absl::Status Decode(const RankContext& context, const LayerPass& pass,
                      LayerState* state, const Tape& tape) const;
  absl::Status RecurBackwardAlone(const RankContext& context,
                                  const LayerPass& pass, const Tape& tape,
                                  const Gradients& gradients,
                                  kernels::TensorView workspace) const;
  absl::Status RecurBackwardInGang(const RankContext& context,
                                   const LayerPass& pass, const Tape& tape,
                                   const Gradients& gradients,
                                   kernels::TensorView workspace) const;

  bool gated() const { return spec_.mixer == LinearMixer::kSimpleGla; }
  MemoryShape Memory(const LayerPass& pass) const;
  kernels::LinearAttentionInputs Operands(const LayerPass& pass,
                                          const Tape& tape) const;
  kernels::LinearAttentionGradients OperandGradients(
      const Gradients& gradients) const;
  // Columns of packed rows [rows, stride].
  kernels::TensorView GateColumns(kernels::TensorView packed) const;
  kernels::TensorView DecayColumns(kernels::TensorView packed) const;
  int64_t WorkspaceBytes(const RankContext& context, const LayerPass& pass,
                         kernels::LinearAttentionStage stage) const;
  int64_t ForwardWorkspaceBytes(const RankContext& context,
                                const LayerPass& pass) const;
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 const LayerPass& pass) const;

  const LinearAttentionSpec spec_;
  const ProjectionWidths widths_;
  const int layer_;
  const std::vector<double> log_decays_;  // per head, constant transitions
  Tensor log_decay_operand_;              // [H] the same
  LinearWeight project_in_;               // [q k v gate decay, d]
  QkvPath qkv_;
  kernels::TensorView decay_bias_;  // [H], simple GLA
  kernels::TensorView decay_bias_gradient_;
  Norm norm_;                 // [Dv], per head
  LinearWeight project_out_;  // [d, H Dv]
};

}  // namespace longspan::worker
