#include <cmath>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/reference/elementwise.h"
#include "kernels/reference/scalar_access.h"
#include "kernels/reference/sigmoid.h"

// Elements of x are addressed by their running number: group g of n elements
// (one per row, or one per row and head) begins at g * n in row-major order.
namespace longspan::kernels {

absl::Status ReferenceElementwise::RmsNorm(const RmsNormInputs& inputs,
                                           TensorView y, TensorView rstd,
                                           Stream&) {
  RETURN_IF_ERROR(CheckRmsNorm(inputs, y, rstd, kReferenceOperands));
  const int64_t size = inputs.weight.size(0);
  for (int64_t group = 0; group < rstd.element_count(); ++group) {
    double squares = 0.0;
    for (int64_t i = 0; i < size; ++i) {
      const double x = LoadFlat(inputs.x, group * size + i);
      squares += x * x;
    }
    const double scale = 1.0 / std::sqrt(squares / size + inputs.epsilon);
    StoreFlat(rstd, group, scale);
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = group * size + i;
      const double gate =
          inputs.gate.is_null() ? 1.0 : SiluOf(LoadFlat(inputs.gate, at));
      StoreFlat(
          y, at,
          LoadFlat(inputs.x, at) * scale * Load(inputs.weight, {i}) * gate);
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::RmsNormBackward(
    const RmsNormInputs& inputs, ConstTensorView rstd, ConstTensorView d_y,
    const RmsNormGradients& gradients, TensorView, Stream&) {
  RETURN_IF_ERROR(
      CheckRmsNormBackward(inputs, rstd, d_y, gradients, kReferenceOperands));
  const int64_t size = inputs.weight.size(0);
  const bool gated = !inputs.gate.is_null();
  for (int64_t group = 0; group < rstd.element_count(); ++group) {
    const double scale = LoadFlat(rstd, group);
    // normed = x rstd; d_normed = gradient that reaches it.
    const auto normed = [&](int64_t i) {
      return LoadFlat(inputs.x, group * size + i) * scale;
    };
    const auto gated_d_y = [&](int64_t i) {
      const int64_t at = group * size + i;
      return LoadFlat(d_y, at) *
             (gated ? SiluOf(LoadFlat(inputs.gate, at)) : 1.0);
    };
    double dot = 0.0;
    for (int64_t i = 0; i < size; ++i) {
      dot += gated_d_y(i) * Load(inputs.weight, {i}) * normed(i);
    }
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = group * size + i;
      const double weight = Load(inputs.weight, {i});
      const double before =
          gradients.accumulate ? LoadFlat(gradients.d_x, at) : 0.0;
      const double d_x =
          scale * (gated_d_y(i) * weight - normed(i) * dot / size);
      if (gated) {
        StoreFlat(gradients.d_gate, at,
                  LoadFlat(d_y, at) * normed(i) * weight *
                      SiluDerivative(LoadFlat(inputs.gate, at)));
      }
      Accumulate(gradients.d_weight, {i}, gated_d_y(i) * normed(i));
      StoreFlat(gradients.d_x, at, before + d_x);
    }
  }
  return absl::OkStatus();
}

}  // namespace longspan::kernels
