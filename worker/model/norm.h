// RMSNorm: y = x / rms(x) * w, over the last dimension, optionally gated:
// y = x / rms(x) * w * silu(gate).
#pragma once

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class Norm {
 public:
  Norm() = default;
  Norm(kernels::TensorView weight, kernels::TensorView gradient, double epsilon)
      : weight_(weight), gradient_(gradient), epsilon_(epsilon) {}

  // The norm of N of the weights, from `first` on.
  Norm Part(int64_t first, int64_t size) const {
    const int64_t end = first + size;
    return Norm(
        weight_.Slice(0, first, end),
        gradient_.is_null() ? gradient_ : gradient_.Slice(0, first, end),
        epsilon_);
  }

  // x, y [M, N], or [M, H, N] for a norm per head; gate like x or null; rstd
  // [M] or [M, H] is kept for backward.
  absl::Status Forward(const RankContext& context, kernels::ConstTensorView x,
                       kernels::ConstTensorView gate, kernels::TensorView y,
                       kernels::TensorView rstd) const;

  struct Gradients {
    kernels::TensorView d_x;
    kernels::TensorView d_gate;  // null iff gate is
    bool accumulate = false;     // d_x +=
  };
  absl::Status Backward(const RankContext& context, kernels::ConstTensorView x,
                        kernels::ConstTensorView gate,
                        kernels::ConstTensorView rstd,
                        kernels::ConstTensorView d_y,
                        const Gradients& gradients,
                        kernels::TensorView workspace) const;

 private:
  kernels::TensorView weight_;
  kernels::TensorView gradient_;
  double epsilon_ = 1e-6;
};

}  // namespace longspan::worker
