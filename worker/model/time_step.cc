#include "worker/model/time_step.h"

#include "common/base/status_macros.h"
#include "common/model_spec/linear_layer_form.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

TimeStep::TimeStep(const LinearAttentionSpec& spec, const std::string& prefix,
                   const Parameters& parameters) {
  if (!FormOf(spec).state_space) return;
  a_log_ = parameters.Value(prefix + "A_log");
  a_log_gradient_ = parameters.Gradient(prefix + "A_log");
  skip_ = parameters.Value(prefix + "D");
  skip_gradient_ = parameters.Gradient(prefix + "D");
}

absl::Status TimeStep::Forward(const RankContext& context, ConstTensorView x,
                               ConstTensorView log_gate, TensorView v) const {
  return context.backend->token_gates().StepProduct({x, log_gate, a_log_}, v,
                                                    *context.stream);
}

absl::Status TimeStep::AddSkip(const RankContext& context, ConstTensorView x,
                               TensorView o) const {
  return context.backend->token_gates().AddSkip(x, skip_, o, *context.stream);
}

absl::Status TimeStep::Backward(const RankContext& context, ConstTensorView x,
                                ConstTensorView log_gate, ConstTensorView d_v,
                                ConstTensorView d_o, TensorView d_x,
                                TensorView d_log_gate) const {
  kernels::TokenGates& ops = context.backend->token_gates();
  RETURN_IF_ERROR(ops.StepProductBackward({x, log_gate, a_log_}, d_v,
                                          {d_x, d_log_gate, a_log_gradient_},
                                          *context.stream));
  return ops.AddSkipBackward(x, skip_, d_o, d_x, skip_gradient_,
                             *context.stream);
}

}  // namespace longspan::worker
