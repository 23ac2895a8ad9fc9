// The executable definition of kernels/api/optimizer.h. Sums in double; needs
// no workspace.
#include <cmath>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"

namespace longspan::kernels {
namespace {

void UpdateElement(const AdamWTensor& tensor, int64_t i,
                   const AdamWScalars& scalars, const AdamWOptions& options) {
  const double rate = Load(scalars.learning_rate, {0});
  const double step = static_cast<double>(scalars.step.data_as<int64_t>()[0]);
  const double g = Load(scalars.clip_factor, {0}) * Load(tensor.gradient, {i});
  const double m = options.beta1 * Load(tensor.first_moment, {i}) +
                   (1.0 - options.beta1) * g;
  const double v = options.beta2 * Load(tensor.second_moment, {i}) +
                   (1.0 - options.beta2) * g * g;
  const double m_hat = m / (1.0 - std::pow(options.beta1, step));
  const double v_hat = v / (1.0 - std::pow(options.beta2, step));
  const double p = Load(tensor.parameter, {i});
  Store(tensor.first_moment, {i}, m);
  Store(tensor.second_moment, {i}, v);
  Store(tensor.parameter, {i},
        p - rate * (m_hat / (std::sqrt(v_hat) + options.epsilon) +
                    tensor.weight_decay * p));
  if (tensor.compute_parameter.is_null()) return;
  Store(tensor.compute_parameter, {i}, Load(tensor.parameter, {i}));
}

class ReferenceOptimizer : public Optimizer {
 public:
  absl::Status AdamW(absl::Span<const AdamWTensor> tensors,
                     const AdamWScalars& scalars, const AdamWOptions& options,
                     Stream& stream) override;
  absl::Status SumOfSquares(absl::Span<const ConstTensorView> tensors,
                            TensorView out, TensorView workspace,
                            Stream& stream) override;
  absl::Status ClipFactor(ConstTensorView sum_of_squares, double max_norm,
                          TensorView factor, Stream& stream) override;
};

}  // namespace

absl::Status ReferenceOptimizer::AdamW(absl::Span<const AdamWTensor> tensors,
                                       const AdamWScalars& scalars,
                                       const AdamWOptions& options, Stream&) {
  RETURN_IF_ERROR(CheckAdamW(tensors, scalars, kReferenceOperands));
  if (std::isnan(Load(scalars.clip_factor, {0}))) return absl::OkStatus();
  for (const AdamWTensor& tensor : tensors) {
    for (int64_t i = 0; i < tensor.parameter.size(0); ++i) {
      UpdateElement(tensor, i, scalars, options);
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceOptimizer::SumOfSquares(
    absl::Span<const ConstTensorView> tensors, TensorView out, TensorView,
    Stream&) {
  RETURN_IF_ERROR(CheckSumOfSquares(tensors, out, kReferenceOperands));
  double sum = 0.0;
  for (const ConstTensorView& tensor : tensors) {
    for (int64_t i = 0; i < tensor.element_count(); ++i) {
      const double x = LoadFlat(tensor, i);
      sum += x * x;
    }
  }
  Store(out, {0}, sum);
  return absl::OkStatus();
}

absl::Status ReferenceOptimizer::ClipFactor(ConstTensorView sum_of_squares,
                                            double max_norm, TensorView factor,
                                            Stream&) {
  RETURN_IF_ERROR(
      CheckClipFactor(sum_of_squares, max_norm, factor, kReferenceOperands));
  const double norm = std::sqrt(Load(sum_of_squares, {0}));
  double value = 1.0;
  if (!std::isfinite(norm)) {
    value = std::nan("");
  } else if (max_norm > 0.0 && norm > max_norm) {
    value = max_norm / norm;
  }
  Store(factor, {0}, value);
  return absl::OkStatus();
}

std::unique_ptr<Optimizer> CreateReferenceOptimizer() {
  return std::make_unique<ReferenceOptimizer>();
}

}  // namespace longspan::kernels
