// What layers of linear attention make of a token besides q, k and v: the log
// gates and write strengths of the recurrence (kernels/api/linear_attention.h).
//
//   Sigmoid        y = factor sigmoid(x)                     beta of DeltaNet,
//                                                            Gated DeltaNet,
//                                                            KDA
//   SoftplusGate   y = -e^a_log[h] softplus(x + bias)        log gate of Gated
//                                                            DeltaNet and KDA
//
// Shapes: operands are [M, N] with contiguous rows that may be strided. a_log
// is [H] with H a divisor of N: column n belongs to head n / (N / H).
//
// Precision: x, d_x are f32 or f64 (bf16 in the reference); parameters, gates
// and all gradients of either have the type of sums. Gradients of parameters
// accumulate, those of activations are overwritten. Errors: kInvalidArgument
// for shapes that do not fit together; kUnimplemented, naming the op, where a
// backend does not override it (cuda). Nothing is allocated.
//
// Sources: DeltaNet (arXiv 2406.06484), Gated DeltaNet (2412.06464), Kimi
// Linear (2510.26692).
#pragma once

#include "absl/status/status.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

struct SoftplusGateInputs {
  ConstTensorView x;
  ConstTensorView bias;   // [N]
  ConstTensorView a_log;  // [H]
};

struct SoftplusGateGradients {
  TensorView d_x;
  TensorView d_bias;
  TensorView d_a_log;
};

// The ops of this class itself refuse; a backend overrides those it has.
class TokenGates {
 public:
  virtual ~TokenGates() = default;

  virtual absl::Status Sigmoid(ConstTensorView x, double factor, TensorView y,
                               Stream& stream);
  virtual absl::Status SigmoidBackward(ConstTensorView x, double factor,
                                       ConstTensorView d_y, TensorView d_x,
                                       Stream& stream);

  virtual absl::Status SoftplusGate(const SoftplusGateInputs& inputs,
                                    TensorView y, Stream& stream);
  virtual absl::Status SoftplusGateBackward(
      const SoftplusGateInputs& inputs, ConstTensorView d_y,
      const SoftplusGateGradients& gradients, Stream& stream);
};

}  // namespace longspan::kernels
