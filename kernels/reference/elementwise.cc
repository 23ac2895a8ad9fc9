#include "kernels/reference/elementwise.h"

#include <cmath>
#include <cstring>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"
#include "kernels/reference/sigmoid.h"

namespace longspan::kernels {

absl::Status ReferenceElementwise::Rotary(ConstTensorView x,
                                          ConstTensorView positions,
                                          double base, bool inverse,
                                          TensorView y, Stream&) {
  RETURN_IF_ERROR(CheckRotary(x, positions, base, y, kReferenceOperands));
  const int64_t half = x.size(3) / 2;
  for (int64_t b = 0; b < x.size(0); ++b) {
    for (int64_t t = 0; t < x.size(1); ++t) {
      const double position =
          static_cast<double>(positions.data_as<int64_t>()[t]);
      for (int64_t h = 0; h < x.size(2); ++h) {
        for (int64_t i = 0; i < half; ++i) {
          const double angle = position * std::pow(base, -1.0 * i / half);
          const double cosine = std::cos(angle);
          const double sine = inverse ? -std::sin(angle) : std::sin(angle);
          const double low = Load(x, {b, t, h, i});
          const double high = Load(x, {b, t, h, i + half});
          Store(y, {b, t, h, i}, low * cosine - high * sine);
          Store(y, {b, t, h, i + half}, high * cosine + low * sine);
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::Silu(ConstTensorView x, TensorView y,
                                        Stream&) {
  RETURN_IF_ERROR(CheckSameRows("Silu", x, {y}, kReferenceOperands));
  for (int64_t i = 0; i < x.element_count(); ++i) {
    StoreFlat(y, i, SiluOf(LoadFlat(x, i)));
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::SiluBackward(ConstTensorView x,
                                                ConstTensorView d_y,
                                                TensorView d_x, Stream&) {
  RETURN_IF_ERROR(
      CheckSameRows("SiluBackward", x, {d_y, d_x}, kReferenceOperands));
  for (int64_t i = 0; i < x.element_count(); ++i) {
    StoreFlat(d_x, i, LoadFlat(d_y, i) * SiluDerivative(LoadFlat(x, i)));
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::SwiGlu(ConstTensorView gate,
                                          ConstTensorView up, TensorView y,
                                          Stream&) {
  RETURN_IF_ERROR(CheckSameRows("SwiGlu", gate, {up, y}, kReferenceOperands));
  for (int64_t i = 0; i < y.element_count(); ++i) {
    StoreFlat(y, i, SiluOf(LoadFlat(gate, i)) * LoadFlat(up, i));
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::SwiGluBackward(ConstTensorView gate,
                                                  ConstTensorView up,
                                                  ConstTensorView d_y,
                                                  TensorView d_gate,
                                                  TensorView d_up, Stream&) {
  RETURN_IF_ERROR(CheckSameRows("SwiGluBackward", gate, {up, d_y, d_gate, d_up},
                                kReferenceOperands));
  for (int64_t i = 0; i < d_y.element_count(); ++i) {
    const double g = LoadFlat(gate, i);
    const double u = LoadFlat(up, i);
    const double d = LoadFlat(d_y, i);
    StoreFlat(d_gate, i, d * u * SiluDerivative(g));
    StoreFlat(d_up, i, d * SiluOf(g));
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::LogSigmoidGate(ConstTensorView x,
                                                  ConstTensorView bias,
                                                  double normalizer,
                                                  TensorView y, Stream&) {
  RETURN_IF_ERROR(
      CheckLogSigmoidGate(x, bias, normalizer, y, kReferenceOperands));
  for (int64_t m = 0; m < x.size(0); ++m) {
    for (int64_t n = 0; n < x.size(1); ++n) {
      const double z = Load(x, {m, n}) + Load(bias, {n});
      Store(y, {m, n}, LogSigmoidOf(z) / normalizer);
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::LogSigmoidGateBackward(
    ConstTensorView x, ConstTensorView bias, double normalizer,
    ConstTensorView d_y, TensorView d_x, TensorView d_bias, Stream&) {
  RETURN_IF_ERROR(CheckLogSigmoidGateBackward(x, bias, normalizer, d_y, d_x,
                                              d_bias, kReferenceOperands));
  for (int64_t n = 0; n < x.size(1); ++n) {
    double sum = 0.0;
    for (int64_t m = 0; m < x.size(0); ++m) {
      const double z = Load(x, {m, n}) + Load(bias, {n});
      const double d = Load(d_y, {m, n}) * SigmoidOf(-z) / normalizer;
      Store(d_x, {m, n}, d);
      sum += d;
    }
    Accumulate(d_bias, {n}, sum);
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::Add(ConstTensorView a, ConstTensorView b,
                                       TensorView out, Stream&) {
  RETURN_IF_ERROR(CheckSameRows("Add", a, {b, out}, kReferenceOperands));
  for (int64_t i = 0; i < out.element_count(); ++i) {
    StoreFlat(out, i, LoadFlat(a, i) + LoadFlat(b, i));
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::SetZero(TensorView x, Stream&) {
  RETURN_IF_ERROR(CheckSameRows("SetZero", x, {}, kReferenceOperands));
  for (int64_t i = 0; i < x.element_count(); ++i) StoreFlat(x, i, 0.0);
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::Copy(ConstTensorView from, TensorView to,
                                        Stream&) {
  RETURN_IF_ERROR(CheckCopy(from, to, kReferenceOperands));
  if (from.dtype() != to.dtype()) {
    for (int64_t i = 0; i < from.element_count(); ++i) {
      StoreFlat(to, i, LoadFlat(from, i));
    }
    return absl::OkStatus();
  }
  const int64_t width = BytesPerElement(from.dtype());
  const auto* source = static_cast<const char*>(from.data());
  auto* target = static_cast<char*>(to.data());
  for (int64_t i = 0; i < from.element_count(); ++i) {
    int64_t from_offset = 0;
    int64_t to_offset = 0;
    int64_t rest = i;
    for (int dim = from.rank() - 1; dim >= 0; --dim) {
      const int64_t index = rest % from.size(dim);
      rest /= from.size(dim);
      from_offset += index * from.stride(dim);
      to_offset += index * to.stride(dim);
    }
    std::memcpy(target + to_offset * width, source + from_offset * width,
                width);
  }
  return absl::OkStatus();
}

absl::Status ReferenceElementwise::Scale(ConstTensorView x,
                                         ConstTensorView factor, TensorView y,
                                         Stream&) {
  RETURN_IF_ERROR(CheckScale(x, factor, y, kReferenceOperands));
  for (int64_t i = 0; i < x.size(0); ++i) {
    Store(y, {i}, Load(factor, {0}) * Load(x, {i}));
  }
  return absl::OkStatus();
}

std::unique_ptr<Elementwise> CreateReferenceElementwise() {
  return std::make_unique<ReferenceElementwise>();
}

}  // namespace longspan::kernels
