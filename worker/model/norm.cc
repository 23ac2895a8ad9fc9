#include "worker/model/norm.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

absl::Status Norm::Forward(const RankContext& context, ConstTensorView x,
                           ConstTensorView gate, TensorView y,
                           TensorView rstd) const {
  return context.backend->elementwise().RmsNorm({x, weight_, gate, epsilon_}, y,
                                                rstd, *context.stream);
}

absl::Status Norm::Backward(const RankContext& context, ConstTensorView x,
                            ConstTensorView gate, ConstTensorView rstd,
                            ConstTensorView d_y, const Gradients& gradients,
                            TensorView workspace) const {
  return context.backend->elementwise().RmsNormBackward(
      {x, weight_, gate, epsilon_}, rstd, d_y,
      {gradients.d_x, gradient_, gradients.d_gate, gradients.accumulate},
      workspace, *context.stream);
}

}  // namespace longspan::worker
