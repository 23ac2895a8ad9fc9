// What layers of linear attention make of a token besides q, k and v: gates and
// write strengths of the recurrence (kernels/api/linear_attention.h), and what
// stands around it.
//
//   Sigmoid          y = factor sigmoid(x)                  beta of DeltaNet,
//                                                           Gated DeltaNet, KDA
//   SoftplusGate     y = -e^a_log[h] softplus(x + bias)     log gate of Gated
//                                                           DeltaNet, KDA and
//                                                           Mamba-2
//   ForgetGate       y = logsigmoid(x), k = 1 - e^y         log gate and key of
//                                                           HGRN2
//   BoundedForgetGate  the same with e^y = b + (1 - b)    HGRN2 with lower
//                    sigmoid(x), b = the sum of rows 1    bounds
//                    to `layer` of softmax(bounds)
//   SigmoidProduct   y = x sigmoid(gate + bias)             output gate of KDA
//   StepProduct      y = -e^-a_log[h] log_gate[h] x         values of Mamba-2:
//                                                           x times the step
//                                                           that log_gate holds
//   AddSkip          y += weight[h] x                       D of Mamba-2
//
// Shapes: operands are [M, N] with contiguous rows that may be strided. a_log
// is [H] with H a divisor of N: column n belongs to head n / (N / H). bounds
// is [L, N], its softmax over the L rows, and 1 <= layer < L. In the
// last two, x and y are [M, H, D] with contiguous heads, log_gate is [M, H],
// a_log and weight are [H].
//
// Precision: activations are f32 or f64 (bf16 in the reference); parameters,
// log gates, beta and their gradients have the type of sums. Gradients of
// parameters accumulate, those of activations are overwritten unless an op says
// otherwise. Errors: kInvalidArgument for shapes that do not fit together;
// kUnimplemented, naming the op, where the backend has none of them (cuda).
// Nothing is allocated, inputs and outputs do not overlap.
//
// Sources: DeltaNet (arXiv 2406.06484), Gated DeltaNet (2412.06464), Kimi
// Linear (2510.26692), HGRN2 (2404.07904), Mamba-2 (2405.21060).
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

struct BoundedForgetGateInputs {
  ConstTensorView x;
  ConstTensorView bounds;  // [L, N]
  int64_t layer = 0;
};

struct BoundedForgetGateGradients {
  TensorView d_x;
  TensorView d_bounds;
};

struct SigmoidProductInputs {
  ConstTensorView x;
  ConstTensorView gate;
  ConstTensorView bias;  // [N]
};

struct SigmoidProductGradients {
  TensorView d_x;
  TensorView d_gate;
  TensorView d_bias;
};

struct StepProductInputs {
  ConstTensorView x;         // [M, H, D]
  ConstTensorView log_gate;  // [M, H]
  ConstTensorView a_log;     // [H]
};

struct StepProductGradients {
  TensorView d_x;
  TensorView d_log_gate;  // accumulated
  TensorView d_a_log;
};

class TokenGates {
 public:
  virtual ~TokenGates() = default;

  virtual absl::Status Sigmoid(ConstTensorView x, double factor, TensorView y,
                               Stream& stream) = 0;
  virtual absl::Status SigmoidBackward(ConstTensorView x, double factor,
                                       ConstTensorView d_y, TensorView d_x,
                                       Stream& stream) = 0;

  virtual absl::Status SoftplusGate(const SoftplusGateInputs& inputs,
                                    TensorView y, Stream& stream) = 0;
  virtual absl::Status SoftplusGateBackward(
      const SoftplusGateInputs& inputs, ConstTensorView d_y,
      const SoftplusGateGradients& gradients, Stream& stream) = 0;

  virtual absl::Status ForgetGate(ConstTensorView x, TensorView y, TensorView k,
                                  Stream& stream) = 0;
  virtual absl::Status ForgetGateBackward(ConstTensorView x,
                                          ConstTensorView d_y,
                                          ConstTensorView d_k, TensorView d_x,
                                          Stream& stream) = 0;

  virtual absl::Status BoundedForgetGate(const BoundedForgetGateInputs& inputs,
                                         TensorView y, TensorView k,
                                         Stream& stream) = 0;
  virtual absl::Status BoundedForgetGateBackward(
      const BoundedForgetGateInputs& inputs, ConstTensorView d_y,
      ConstTensorView d_k, const BoundedForgetGateGradients& gradients,
      Stream& stream) = 0;

  virtual absl::Status SigmoidProduct(const SigmoidProductInputs& inputs,
                                      TensorView y, Stream& stream) = 0;
  virtual absl::Status SigmoidProductBackward(
      const SigmoidProductInputs& inputs, ConstTensorView d_y,
      const SigmoidProductGradients& gradients, Stream& stream) = 0;

  virtual absl::Status StepProduct(const StepProductInputs& inputs,
                                   TensorView y, Stream& stream) = 0;
  virtual absl::Status StepProductBackward(
      const StepProductInputs& inputs, ConstTensorView d_y,
      const StepProductGradients& gradients, Stream& stream) = 0;

  virtual absl::Status AddSkip(ConstTensorView x, ConstTensorView weight,
                               TensorView y, Stream& stream) = 0;
  // d_x is accumulated.
  virtual absl::Status AddSkipBackward(ConstTensorView x,
                                       ConstTensorView weight,
                                       ConstTensorView d_y, TensorView d_x,
                                       TensorView d_weight, Stream& stream) = 0;
};

}  // namespace longspan::kernels
