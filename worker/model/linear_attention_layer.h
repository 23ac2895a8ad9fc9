// A linear attention layer: every mixer of
// common/model_spec/linear_layer_form.h on one recurrence.
//
//     q, k, v, g, a, b = split(x W^T)
//     q, k, v  <- convolution, feature map, rotary, ones     see qkv_path.h
//     log a_t  =  the gate of a                              see decay_gate.h
//     beta_t   =  sigmoid(b)                             see write_strength.h
//     o        =  the recurrence                     see memory_recurrence.h
//     o        <- o / (normaliser + epsilon)                 normalised mixers
//     y        =  (norm_per_head(o) * silu(g)) Wo^T          or another stage,
//                                                            see heads_output.h
//
// State: S and the convolution's last K-1 inputs.
#pragma once

#include <vector>

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/projection_widths.h"
#include "worker/model/decay_gate.h"
#include "worker/model/heads_output.h"
#include "worker/model/linear_weight.h"
#include "worker/model/memory_recurrence.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"
#include "worker/model/qkv_path.h"
#include "worker/model/write_strength.h"

namespace longspan::worker {

class LinearAttentionLayer : public Mixer {
 public:
  LinearAttentionLayer(const ModelSpec& spec, int layer,
                       const Parameters& parameters);
  // The same for heads whose constant decays are not those of `spec`: some of
  // a layer's.
  LinearAttentionLayer(const ModelSpec& spec, int layer,
                       const Parameters& parameters,
                       std::vector<double> log_decays);

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
                   kernels::ConstTensorView input, LayerState* state,
                   MixerTape& tape) override;
  absl::Status Output(const RankContext& context, RowRange rows,
                      MixerTape& tape, kernels::TensorView residual) override;

  absl::Status OutputBackward(const RankContext& context, RowRange rows,
                              kernels::ConstTensorView d_output,
                              MixerTape& tape,
                              MixerGradients& gradients) override;
  absl::Status MixBackward(const RankContext& context, const LayerPass& pass,
                           kernels::ConstTensorView input,
                           kernels::ConstTensorView d_output, MixerTape& tape,
                           MixerGradients& gradients) override;
  absl::Status ProjectBackward(const RankContext& context, RowRange rows,
                               kernels::ConstTensorView input, MixerTape& tape,
                               MixerGradients& gradients,
                               kernels::TensorView d_input) override;

 private:
  using Tape = LinearAttentionTape;
  using Gradients = LinearAttentionLayerGradients;

  const LinearAttentionSpec spec_;
  const LinearLayerForm form_;
  const ProjectionWidths widths_;
  LinearWeight project_in_;  // [q k v gate decay beta, d]
  QkvPath qkv_;
  DecayGate gate_;
  WriteStrength strength_;
  MemoryRecurrence recurrence_;
  HeadsOutput heads_output_;
  LinearWeight project_out_;  // [d, H Dv]
};

}  // namespace longspan::worker
