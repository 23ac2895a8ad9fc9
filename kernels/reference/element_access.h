// Elements of a view as doubles, whatever the view's type and strides: how the
// reference ops read and write.
#pragma once

#include <cstdint>

#include "common/base/check.h"
#include "kernels/api/bfloat16.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

template <typename View, typename... Index>
int64_t ElementOffset(const View& view, Index... index) {
  const int64_t indices[] = {static_cast<int64_t>(index)...};
  int64_t offset = 0;
  for (int i = 0; i < static_cast<int>(sizeof...(index)); ++i) {
    offset += indices[i] * view.stride(i);
  }
  return offset;
}

template <typename... Index>
double Get(const ConstTensorView& view, Index... index) {
  const int64_t offset = ElementOffset(view, index...);
  if (view.dtype() == DType::kF64) return view.data_as<double>()[offset];
  if (view.dtype() == DType::kBF16) {
    return ToFloat(view.data_as<BFloat16>()[offset]);
  }
  return view.data_as<float>()[offset];
}

template <typename... Index>
void Set(const TensorView& view, double value, Index... index) {
  const int64_t offset = ElementOffset(view, index...);
  if (view.dtype() == DType::kF64) {
    view.data_as<double>()[offset] = value;
  } else if (view.dtype() == DType::kBF16) {
    view.data_as<BFloat16>()[offset] = ToBFloat16(static_cast<float>(value));
  } else {
    view.data_as<float>()[offset] = static_cast<float>(value);
  }
}

}  // namespace longspan::kernels
