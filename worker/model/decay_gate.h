// The gate of a linear attention layer that depends on the token:
//
//     per head       log g = logsigmoid(a + bias) / 16,  a: H projected columns
//                    (gk_proj.weight, gk_proj.bias)
//     per channel    the same of  z = a W1^T,  a: 16 projected columns
//                    (gk_proj.0.weight, gk_proj.1.weight, gk_proj.1.bias)
//     softplus       log g = -e^A softplus(a + b)
//                    (a_proj.weight, A_log, dt_bias), or of z per channel
//                    (f_proj.0.weight, f_proj.1.weight, A_log, dt_bias)
//
// Row-by-row work on the decay columns of a layer's projection
// (common/model_spec/projection_widths.h). Layers without a gate have one that
// does nothing, and so have those whose keys hold it (hgrn2, see qkv_path.h).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/projection_widths.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/linear_weight.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"
#include "worker/model/row_range.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class DecayGate {
 public:
  // `prefix`: "model.layers.0.attn.".
  DecayGate(const LinearAttentionSpec& spec, const std::string& prefix,
            const Parameters& parameters);

  bool exists() const {
    return widths_.log_gate > 0 && form_.gate != DecayGateKind::kForget;
  }

  // log_gate, and the logits that backward needs.
  void AllocateTape(const RankContext& context, const LayerPass& pass,
                    LinearAttentionTape& tape) const;
  // [B, n, H] or [B, n, H, F]; null without a gate.
  kernels::TensorView AllocateLogGate(const char* name,
                                      const RankContext& context,
                                      const LayerPass& pass) const;

  // From tape.packed to tape.log_gate (and tape.gate_logits), for `rows`.
  absl::Status Forward(const RankContext& context, RowRange rows,
                       const LinearAttentionTape& tape) const;
  // From d.d_log_gate to the decay columns of d.d_packed. Scratch comes from
  // the arena.
  absl::Status Backward(const RankContext& context, RowRange rows,
                        const LinearAttentionTape& tape,
                        const LinearAttentionLayerGradients& d) const;

 private:
  bool expands() const { return form_.gate_rank > 0; }
  bool softplus() const { return form_.gate == DecayGateKind::kSoftplus; }
  // Columns of packed rows [rows, stride].
  kernels::TensorView DecayColumns(kernels::TensorView packed) const;
  // What the gate's function sees: the columns themselves, or the logits made
  // of them.
  kernels::TensorView Logits(RowRange rows,
                             const LinearAttentionTape& tape) const;

  absl::Status Activate(const RankContext& context,
                        kernels::ConstTensorView logits,
                        kernels::TensorView log_gate) const;
  absl::Status ActivateBackward(const RankContext& context,
                                kernels::ConstTensorView logits,
                                kernels::ConstTensorView d_log_gate,
                                kernels::TensorView d_logits) const;

  const int64_t heads_;
  const LinearLayerForm form_;
  const ProjectionWidths widths_;
  LinearWeight expand_;  // [H F, rank], per channel
  kernels::TensorView bias_;
  kernels::TensorView bias_gradient_;
  kernels::TensorView a_log_;  // softplus
  kernels::TensorView a_log_gradient_;
};

}  // namespace longspan::worker
