// The head: hidden states to logits, and the owner of the loss. Logits of a
// whole sequence never exist; the cross-entropy runs in slabs of rows.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/linear_weight.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

struct LossInput {
  kernels::ConstTensorView hidden;         // [M, d]
  kernels::ConstTensorView targets;        // [M] i32; negative: not scored
  kernels::ConstTensorView token_weights;  // [M] of the context's type; null: 1
};

class Head {
 public:
  Head() = default;
  // weight [V, d] and its gradient.
  Head(kernels::TensorView weight, kernels::TensorView gradient)
      : weight_(weight), gradient_(gradient) {}

  // loss [1] f64 = sum of weighted negative log-likelihoods (natural log) of
  // this rank's tokens; nll [M] (may be null) token by token.
  absl::Status Loss(const RankContext& context, const LossInput& input,
                    kernels::TensorView loss, kernels::TensorView nll) const;

  // The same in one pass with the gradients of grad_scale [1] * loss:
  // d_hidden [M, d] overwritten, the weight's gradient accumulated.
  absl::Status LossAndGradient(const RankContext& context,
                               const LossInput& input,
                               kernels::ConstTensorView grad_scale,
                               kernels::TensorView loss,
                               kernels::TensorView d_hidden) const;

  // logits [R, V] of hidden [R, d].
  absl::Status Logits(const RankContext& context,
                      kernels::ConstTensorView hidden,
                      kernels::TensorView logits) const;

 private:
  kernels::TensorView weight_;
  kernels::TensorView gradient_;
};

}  // namespace longspan::worker
