// Mamba-2's time step, which its gate holds, and its skip:
//
//     log a_t = -e^A step_t,   v_t = step_t x_t,   o_t += D x_t
//
// with A and D per head (A_log, D). Layers of other mixers have one that does
// nothing.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/parameters.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class TimeStep {
 public:
  // `prefix`: "model.layers.0.attn.".
  TimeStep(const LinearAttentionSpec& spec, const std::string& prefix,
           const Parameters& parameters);

  bool exists() const { return !a_log_.is_null(); }

  // x, v, o [M, H, D]; log_gate [M, H].
  absl::Status Forward(const RankContext& context, kernels::ConstTensorView x,
                       kernels::ConstTensorView log_gate,
                       kernels::TensorView v) const;
  absl::Status AddSkip(const RankContext& context, kernels::ConstTensorView x,
                       kernels::TensorView o) const;

  // d_x of both; adds to d_log_gate.
  absl::Status Backward(const RankContext& context, kernels::ConstTensorView x,
                        kernels::ConstTensorView log_gate,
                        kernels::ConstTensorView d_v,
                        kernels::ConstTensorView d_o, kernels::TensorView d_x,
                        kernels::TensorView d_log_gate) const;

 private:
  kernels::TensorView a_log_;
  kernels::TensorView a_log_gradient_;
  kernels::TensorView skip_;
  kernels::TensorView skip_gradient_;
};

}  // namespace longspan::worker
