// The executable definition of kernels/api/elementwise.h (ShortConvolution).
// Sums in double; needs no workspace.
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"
#include "kernels/reference/sigmoid.h"

namespace longspan::kernels {
namespace {

// Whether token t sees source s <= t: both in the same document.
bool SameDocument(const Documents& documents, int64_t s, int64_t t) {
  for (int64_t i = 0; i < documents.count; ++i) {
    if (s < documents.starts[i] && documents.starts[i] <= t) return false;
  }
  return true;
}

// Input of channel c at token s, where s in [-(K-1), 0) lies in the halo.
double Source(const ShortConvolutionInputs& inputs, int64_t b, int64_t s,
              int64_t c) {
  if (s >= 0) return Load(inputs.x, {b, s, c});
  if (inputs.halo.is_null()) return 0.0;
  return Load(inputs.halo, {b, inputs.halo.size(1) + s, c});
}

// The convolution before its activation.
double PreActivation(const ShortConvolutionInputs& inputs, int64_t b, int64_t t,
                     int64_t c) {
  const int64_t kernel = inputs.weight.size(1);
  double sum = inputs.bias.is_null() ? 0.0 : Load(inputs.bias, {c});
  for (int64_t j = 0; j < kernel; ++j) {
    const int64_t s = t - (kernel - 1) + j;
    if (!SameDocument(inputs.documents, s, t)) continue;
    sum += Load(inputs.weight, {c, j}) * Source(inputs, b, s, c);
  }
  return sum;
}

void AddToSource(const ShortConvolutionGradients& gradients, int64_t b,
                 int64_t s, int64_t c, double value) {
  if (s >= 0) {
    Accumulate(gradients.d_x, {b, s, c}, value);
  } else if (!gradients.d_halo.is_null()) {
    Accumulate(gradients.d_halo, {b, gradients.d_halo.size(1) + s, c}, value);
  }
}

void Zero(TensorView view) {
  if (view.is_null()) return;
  for (int64_t i = 0; i < view.element_count(); ++i) StoreFlat(view, i, 0.0);
}

class ReferenceShortConvolution : public ShortConvolution {
 public:
  absl::Status Forward(const ShortConvolutionInputs& inputs, TensorView y,
                       Stream& stream) override;
  absl::Status Backward(const ShortConvolutionInputs& inputs,
                        ConstTensorView d_y,
                        const ShortConvolutionGradients& gradients,
                        TensorView workspace, Stream& stream) override;
};

}  // namespace

absl::Status ReferenceShortConvolution::Forward(
    const ShortConvolutionInputs& inputs, TensorView y, Stream&) {
  RETURN_IF_ERROR(CheckShortConvolution(inputs, y, kReferenceOperands));
  for (int64_t b = 0; b < y.size(0); ++b) {
    for (int64_t t = 0; t < y.size(1); ++t) {
      for (int64_t c = 0; c < y.size(2); ++c) {
        const double z = PreActivation(inputs, b, t, c);
        Store(y, {b, t, c}, inputs.silu ? SiluOf(z) : z);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceShortConvolution::Backward(
    const ShortConvolutionInputs& inputs, ConstTensorView d_y,
    const ShortConvolutionGradients& gradients, TensorView, Stream&) {
  RETURN_IF_ERROR(CheckShortConvolutionBackward(inputs, d_y, gradients,
                                                kReferenceOperands));
  const int64_t kernel = inputs.weight.size(1);
  Zero(gradients.d_x);
  Zero(gradients.d_halo);
  for (int64_t b = 0; b < d_y.size(0); ++b) {
    for (int64_t t = 0; t < d_y.size(1); ++t) {
      for (int64_t c = 0; c < d_y.size(2); ++c) {
        double d_z = Load(d_y, {b, t, c});
        if (inputs.silu) d_z *= SiluDerivative(PreActivation(inputs, b, t, c));
        if (!inputs.bias.is_null()) Accumulate(gradients.d_bias, {c}, d_z);
        for (int64_t j = 0; j < kernel; ++j) {
          const int64_t s = t - (kernel - 1) + j;
          if (!SameDocument(inputs.documents, s, t)) continue;
          AddToSource(gradients, b, s, c, Load(inputs.weight, {c, j}) * d_z);
          Accumulate(gradients.d_weight, {c, j}, d_z * Source(inputs, b, s, c));
        }
      }
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<ShortConvolution> CreateReferenceShortConvolution() {
  return std::make_unique<ReferenceShortConvolution>();
}

}  // namespace longspan::kernels
