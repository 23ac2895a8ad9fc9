// How much of what the state does not know a token writes, under the delta
// rule:
//
//     beta = sigmoid(b),   b: H projected columns (b_proj.weight)
//
// or 2 sigmoid(b) with allow_neg_eigval.
//
// Row-by-row work on the beta columns of a layer's projection
// (common/model_spec/projection_widths.h). Layers without the delta rule have
// one that does nothing.
#pragma once

#include "absl/status/status.h"
#include "common/model_spec/projection_widths.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/mixer.h"
#include "worker/model/row_range.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class WriteStrength {
 public:
  explicit WriteStrength(const LinearAttentionSpec& spec)
      : limit_(spec.allow_neg_eigval ? 2.0 : 1.0),
        widths_(LinearProjectionWidths(spec)) {}

  bool exists() const { return widths_.beta > 0; }

  // [B, n, H]; null without the delta rule.
  kernels::TensorView Allocate(const char* name, const RankContext& context,
                               const LayerPass& pass) const;

  // From tape.packed to tape.beta, for `rows`.
  absl::Status Forward(const RankContext& context, RowRange rows,
                       const LinearAttentionTape& tape) const;
  // From d.d_beta to the beta columns of d.d_packed.
  absl::Status Backward(const RankContext& context, RowRange rows,
                        const LinearAttentionTape& tape,
                        const LinearAttentionLayerGradients& d) const;

 private:
  // Columns of rows of a packed buffer [B, n, stride].
  kernels::TensorView Columns(RowRange rows, kernels::TensorView packed) const;

  const double limit_;  // of beta
  const ProjectionWidths widths_;
};

}  // namespace longspan::worker
