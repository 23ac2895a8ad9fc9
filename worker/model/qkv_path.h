// From a linear attention layer's input projection to what its recurrence
// takes: the short convolution, the feature map, the rotary positions and the
// normaliser's column.
//
//     q, k, v  <- silu(conv(q, k, v))     when the layer has a convolution,
//                                         perhaps with a bias
//     q, k     <- phi(q), phi(k)          when it has a feature map
//     k, log g <- 1 - g, logsigmoid(k)    when its keys hold the gate (hgrn2),
//                                         perhaps above a bound
//     q, k     <- rotary(q), rotary(k)    when the mixer is retention
//     v        <- [v, 1]                  when it is normalised
//     v        <- step v                  when it has time steps (mamba2)
//
// common/model_spec/linear_layer_form.h says which mixer has what.
// Steps that a layer does not have leave the numbers where they are, so that
// nothing is copied.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/projection_widths.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"
#include "worker/model/qk_feature_map.h"
#include "worker/model/time_step.h"
#include "worker/parallel/convolution_halo.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// Strided.
struct QkvViews {
  kernels::TensorView q;  // [B, n, G, F], of G key heads
  kernels::TensorView k;
  kernels::TensorView v;  // [B, n, H, Dv (+ 1)]
};

// The buffers that the numbers pass through, as on the tape; the same for
// their gradients.
struct QkvBuffers {
  kernels::TensorView packed;     // [B, n, stride]
  kernels::TensorView convolved;  // [B, n, C] or null
  kernels::TensorView features;   // [B, n, 2 G F] or null
  kernels::TensorView values;     // [B, n, H (Dv + 1)], [B, n, H Dv] or null
};
QkvBuffers BuffersOf(const LinearAttentionTape& tape);
QkvBuffers BuffersOf(const LinearAttentionLayerGradients& d);

class QkvPath {
 public:
  // `prefix`: "model.layers.0.attn.".
  QkvPath(const LinearAttentionSpec& spec, int layer, const std::string& prefix,
          const Parameters& parameters);

  bool convolves() const { return widths_.convolved > 0; }

  // Where q, k and v (or their gradients) are read by the recurrence.
  QkvViews Views(const QkvBuffers& buffers) const;

  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       LayerState* state, const LinearAttentionTape& tape);

  // What the recurrence's outputs take besides, for mixers with time steps.
  absl::Status AddSkip(const RankContext& context,
                       const LinearAttentionTape& tape) const;

  // From the gradients in Views(d), and that of the outputs, to the q, k, v
  // columns of d.d_packed. `workspace` serves the feature map and the
  // convolution.
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        const LinearAttentionTape& tape,
                        const LinearAttentionLayerGradients& d,
                        kernels::TensorView workspace);
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 const LayerPass& pass) const;

 private:
  struct KeyViews {
    kernels::TensorView q;  // [B, n, G F]
    kernels::TensorView k;
  };

  absl::Status Convolve(const RankContext& context, const LayerPass& pass,
                        LayerState* state, const LinearAttentionTape& tape);
  absl::Status ConvolveBackward(const RankContext& context,
                                const LayerPass& pass,
                                const LinearAttentionTape& tape,
                                const QkvBuffers& d,
                                kernels::TensorView workspace);
  absl::Status Map(const RankContext& context,
                   const LinearAttentionTape& tape) const;
  absl::Status MapBackward(const RankContext& context,
                           const LinearAttentionTape& tape,
                           const LinearAttentionLayerGradients& d,
                           kernels::TensorView workspace) const;
  absl::Status Rotate(const RankContext& context, const LayerPass& pass,
                      const QkvBuffers& buffers, bool inverse) const;
  absl::Status MakeValues(const RankContext& context,
                          const LinearAttentionTape& tape) const;
  absl::Status ValuesBackward(const RankContext& context,
                              const LinearAttentionTape& tape,
                              const LinearAttentionLayerGradients& d) const;

  // Columns [at, at + width) of the projection where the next step finds them:
  // after the convolution if that takes them.
  kernels::TensorView Columns(const QkvBuffers& buffers, int64_t at,
                              int64_t width) const;
  kernels::TensorView Rows(const QkvBuffers& buffers, int64_t at,
                           int64_t width) const;
  // v's heads there: [M, H, Dv].
  kernels::TensorView ValueHeads(const QkvBuffers& buffers) const;
  KeyViews Keys(const QkvBuffers& buffers) const;
  kernels::TensorView AllocateStaging(const RankContext& context,
                                      const LayerPass& pass) const;
  // What the convolution takes of a packed buffer.
  kernels::TensorView ConvolutionColumns(kernels::TensorView packed) const;
  kernels::ShortConvolutionInputs ConvolutionInputs(
      const LayerPass& pass, const LinearAttentionTape& tape, int part) const;

  const LinearAttentionSpec spec_;
  const LinearLayerForm form_;
  const ProjectionWidths widths_;
  const int layer_;
  const QkFeatureMap feature_map_;
  const TimeStep time_step_;
  kernels::TensorView lower_bounds_;  // [layers, H Dk], or null
  kernels::TensorView lower_bounds_gradient_;
  kernels::TensorView convolution_;  // [C, K]
  kernels::TensorView convolution_gradient_;
  kernels::TensorView convolution_bias_;  // [C], or null
  kernels::TensorView convolution_bias_gradient_;
};

}  // namespace longspan::worker
