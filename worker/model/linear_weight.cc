#include "worker/model/linear_weight.h"

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

absl::Status LinearWeight::Forward(const RankContext& context,
                                   ConstTensorView x, Write write,
                                   TensorView y) const {
  return context.backend->dense().MatMul(
      x, weight_, y, {.transpose_b = true, .accumulate = write == Write::kAdd},
      *context.stream);
}

absl::Status LinearWeight::Backward(const RankContext& context,
                                    ConstTensorView x, ConstTensorView d_y,
                                    Write write, TensorView d_x) const {
  kernels::Dense& dense = context.backend->dense();
  RETURN_IF_ERROR(dense.MatMul(d_y, x, gradient_,
                               {.transpose_a = true, .accumulate = true},
                               *context.stream));
  return dense.MatMul(d_y, weight_, d_x, {.accumulate = write == Write::kAdd},
                      *context.stream);
}

}  // namespace longspan::worker
