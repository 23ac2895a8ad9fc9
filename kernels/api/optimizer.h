// Optimiser ops over flat parameter ranges.
#pragma once

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

// AdamW with decoupled weight decay (arXiv 1711.05101), per element:
//
//     g  <- clip_factor * gradient
//     m  <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
//     p  <- p - lr * (m_hat / (sqrt(v_hat) + epsilon) + weight_decay * p)
//
// with m_hat = m / (1 - beta1^step), v_hat = v / (1 - beta2^step). Values that
// change from step to step are operands. A clip factor that is NaN makes the
// update do nothing: the step is skipped.
struct AdamWScalars {
  ConstTensorView learning_rate;  // [1] f32
  ConstTensorView clip_factor;    // [1] f32
  ConstTensorView step;           // [1] i64, 1 for the first update
};

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
};

// One parameter tensor, all views [N] contiguous, f32 (or all f64).
struct AdamWTensor {
  TensorView parameter;
  ConstTensorView gradient;
  TensorView first_moment;
  TensorView second_moment;
  double weight_decay = 0.0;
  // The new value rounded to bf16, for the model to compute with. May be null.
  TensorView compute_parameter = {};
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  virtual absl::Status AdamW(absl::Span<const AdamWTensor> tensors,
                             const AdamWScalars& scalars,
                             const AdamWOptions& options, Stream& stream) = 0;

  // out [1] f64 = sum of squares over all tensors, in a fixed block order.
  virtual absl::Status SumOfSquares(absl::Span<const ConstTensorView> tensors,
                                    TensorView out, TensorView workspace,
                                    Stream& stream) = 0;

  // factor [1] f32 = min(1, max_norm / sqrt(sum_of_squares)), in double; 1 when
  // max_norm is 0, and NaN when the norm is not finite. sum_of_squares [1] f64.
  virtual absl::Status ClipFactor(ConstTensorView sum_of_squares,
                                  double max_norm, TensorView factor,
                                  Stream& stream) = 0;
};

}  // namespace longspan::kernels
