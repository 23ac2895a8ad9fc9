// From a linear attention layer's input projection to what its recurrence
// takes: the short convolution, the feature map, the rotary positions and the
// normaliser's column.
//
//     q, k, v  <- silu(conv(q, k, v))     when the layer has a convolution
//     q, k     <- phi(q), phi(k)          when it has a feature map
//     q, k     <- rotary(q), rotary(k)    when the mixer is retention
//     v        <- [v, 1]                  when it is normalised
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
#include "worker/parallel/convolution_halo.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// Strided.
struct QkvViews {
  kernels::TensorView q;  // [B, n, H, F]
  kernels::TensorView k;
  kernels::TensorView v;  // [B, n, H, Dv (+ 1)]
};

// The buffers that the numbers pass through, as on the tape; the same for
// their gradients.
struct QkvBuffers {
  kernels::TensorView packed;     // [B, n, stride]
  kernels::TensorView convolved;  // [B, n, C] or null
  kernels::TensorView features;   // [B, n, 2 H F] or null
  kernels::TensorView values;     // [B, n, H (Dv + 1)] or null
};

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

  // From the gradients in Views(d) to the q, k, v columns of d.packed.
  // `workspace` serves the feature map and the convolution.
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        const LinearAttentionTape& tape, const QkvBuffers& d,
                        kernels::TensorView workspace);
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 const LayerPass& pass) const;

 private:
  absl::Status Convolve(const RankContext& context, const LayerPass& pass,
                        LayerState* state, const LinearAttentionTape& tape);
  absl::Status ConvolveBackward(const RankContext& context,
                                const LayerPass& pass,
                                const LinearAttentionTape& tape,
                                const QkvBuffers& d,
                                kernels::TensorView workspace);
  absl::Status Rotate(const RankContext& context, const LayerPass& pass,
                      const QkvViews& views, bool inverse);
  // The input of the feature map, or its gradient: q and k as rows.
  kernels::TensorView MapInput(const QkvBuffers& buffers) const;
  // Where v lies before the normaliser's column, and its heads in rows of that
  // buffer.
  kernels::TensorView ValueBuffer(const QkvBuffers& buffers) const;
  kernels::TensorView ValueHeads(kernels::TensorView rows) const;
  kernels::TensorView AllocateStaging(const RankContext& context,
                                      const LayerPass& pass) const;
  kernels::ShortConvolutionInputs ConvolutionInputs(
      const LayerPass& pass, const LinearAttentionTape& tape) const;

  const LinearAttentionSpec spec_;
  const LinearLayerForm form_;
  const ProjectionWidths widths_;
  const int layer_;
  const QkFeatureMap feature_map_;
  kernels::TensorView convolution_;  // [C, K]
  kernels::TensorView convolution_gradient_;
};

}  // namespace longspan::worker
