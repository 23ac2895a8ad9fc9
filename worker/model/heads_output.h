// What stands between the heads of a linear attention layer and its output
// projection (OutputStage of common/model_spec/linear_layer_form.h):
//
//     plain             o
//     head norm         norm(o) * silu(z)                 per head; the gate z
//                                                         is optional
//     sigmoid gate      norm(o) * sigmoid(z W^T + b)      per head
//     whole norm        norm(o)                           over all heads
//     gated, then norm  norm(o * silu(z))                 over all heads
//
// z are the gate columns of a layer's projection
// (common/model_spec/projection_widths.h). Row-by-row work.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/projection_widths.h"
#include "kernels/api/tensor_view.h"
#include "kernels/api/token_gates.h"
#include "worker/model/linear_weight.h"
#include "worker/model/mixer.h"
#include "worker/model/norm.h"
#include "worker/model/parameters.h"
#include "worker/model/row_range.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class HeadsOutput {
 public:
  // `prefix`: "model.layers.0.attn.".
  HeadsOutput(const ModelSpec& spec, const std::string& prefix,
              const Parameters& parameters);

  // o_rstd, normed, gated, gate_values.
  void AllocateTape(const RankContext& context, const LayerPass& pass,
                    LinearAttentionTape& tape) const;

  // From tape.o and tape.packed to Result(), for `rows`.
  absl::Status Forward(const RankContext& context, RowRange rows,
                       const LinearAttentionTape& tape) const;
  // What the output projection takes of `rows`: [rows, H Dv].
  kernels::TensorView Result(RowRange rows,
                             const LinearAttentionTape& tape) const;

  // Where the gradient of Result() goes for Backward: scratch of the arena, or
  // d.d_o itself.
  kernels::TensorView AllocateResultGradient(
      const RankContext& context, RowRange rows,
      const LinearAttentionLayerGradients& d) const;
  // From there to d.d_o and the gate columns of d.d_packed. Scratch comes from
  // the arena.
  absl::Status Backward(const RankContext& context, RowRange rows,
                        const LinearAttentionTape& tape,
                        kernels::TensorView d_result,
                        const LinearAttentionLayerGradients& d) const;

 private:
  // Whether weights differ from head to head.
  bool whole() const {
    return form_.output == OutputStage::kWholeNorm || gates_first();
  }
  bool gates_first() const {
    return form_.output == OutputStage::kGatedThenNorm;
  }
  bool gates_last() const { return form_.output == OutputStage::kSigmoidGate; }
  // The norms that take a row one after the other: one, or one per group of
  // heads that have weights of their own.
  int64_t norm_count() const {
    return whole() ? widths_.value / norm_size_ : 1;
  }
  Norm NormAt(int64_t i) const;
  // What norm `i` takes of rows [rows, H Dv]: [rows, H, Dv] for a norm per
  // head.
  kernels::TensorView Grouped(kernels::TensorView rows, int64_t i) const;
  kernels::TensorView RstdAt(RowRange rows, const LinearAttentionTape& tape,
                             int64_t i) const;
  // The gate columns of rows of a packed buffer; null where there are none.
  kernels::TensorView Gate(RowRange rows, kernels::TensorView packed) const;
  // The same for a gate inside the norm, which is per head.
  kernels::TensorView InnerGate(RowRange rows,
                                kernels::TensorView packed) const;
  // What the norm takes: o, or what the gate made of it.
  kernels::TensorView NormInput(RowRange rows,
                                const LinearAttentionTape& tape) const;
  kernels::SigmoidProductInputs LastGate(RowRange rows,
                                         const LinearAttentionTape& tape) const;
  absl::Status LastGateBackward(const RankContext& context, RowRange rows,
                                const LinearAttentionTape& tape,
                                kernels::ConstTensorView d_result,
                                kernels::TensorView d_normed,
                                const LinearAttentionLayerGradients& d) const;

  const int64_t heads_;
  const int64_t value_dim_;
  const int64_t norm_size_;
  const LinearLayerForm form_;
  const ProjectionWidths widths_;
  Norm norm_;
  LinearWeight expand_;  // [H Dv, rank], sigmoid gate
  kernels::TensorView bias_;
  kernels::TensorView bias_gradient_;
};

}  // namespace longspan::worker
