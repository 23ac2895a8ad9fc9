// The weight of a linear layer, y = x W^T, as an object: dense today, a packed
// or low-rank form can take its place without touching the layers.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class LinearWeight {
 public:
  enum class Write { kReplace, kAdd };

  // weight [out, in] and its gradient (null when nothing is trained).
  LinearWeight() = default;
  LinearWeight(kernels::TensorView weight, kernels::TensorView gradient)
      : weight_(weight), gradient_(gradient) {}

  int64_t outputs() const { return weight_.size(0); }
  int64_t inputs() const { return weight_.size(1); }

  // Of outputs [begin, end) alone.
  LinearWeight Outputs(int64_t begin, int64_t end) const {
    return {weight_.Slice(0, begin, end),
            gradient_.is_null() ? gradient_ : gradient_.Slice(0, begin, end)};
  }

  // y [M, out] = x [M, in] W^T. Rows may be strided.
  absl::Status Forward(const RankContext& context, kernels::ConstTensorView x,
                       Write write, kernels::TensorView y) const;

  // W.gradient += d_y^T x; d_x = d_y W.
  absl::Status Backward(const RankContext& context, kernels::ConstTensorView x,
                        kernels::ConstTensorView d_y, Write write,
                        kernels::TensorView d_x) const;

 private:
  kernels::TensorView weight_;
  kernels::TensorView gradient_;
};

}  // namespace longspan::worker
