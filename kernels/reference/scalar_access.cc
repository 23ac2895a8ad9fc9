#include "kernels/reference/scalar_access.h"

#include "kernels/api/bfloat16.h"

namespace longspan::kernels {
namespace {

int64_t FlatOffset(ConstTensorView view, int64_t flat) {
  int64_t offset = 0;
  for (int dim = view.rank() - 1; dim >= 0; --dim) {
    offset += flat % view.size(dim) * view.stride(dim);
    flat /= view.size(dim);
  }
  return offset;
}

double LoadAt(ConstTensorView view, int64_t offset) {
  if (view.dtype() == DType::kF32) return view.data_as<float>()[offset];
  if (view.dtype() == DType::kBF16) {
    return ToFloat(view.data_as<BFloat16>()[offset]);
  }
  return view.data_as<double>()[offset];
}

void StoreAt(TensorView view, int64_t offset, double value) {
  if (view.dtype() == DType::kF32) {
    view.data_as<float>()[offset] = static_cast<float>(value);
  } else if (view.dtype() == DType::kBF16) {
    view.data_as<BFloat16>()[offset] = ToBFloat16(static_cast<float>(value));
  } else {
    view.data_as<double>()[offset] = value;
  }
}

}  // namespace

int64_t ElementOffset(ConstTensorView view,
                      std::initializer_list<int64_t> index) {
  int64_t offset = 0;
  int dim = 0;
  for (int64_t i : index) offset += i * view.stride(dim++);
  return offset;
}

double Load(ConstTensorView view, std::initializer_list<int64_t> index) {
  return LoadAt(view, ElementOffset(view, index));
}

void Store(TensorView view, std::initializer_list<int64_t> index,
           double value) {
  StoreAt(view, ElementOffset(view, index), value);
}

void Accumulate(TensorView view, std::initializer_list<int64_t> index,
                double value) {
  const int64_t offset = ElementOffset(view, index);
  StoreAt(view, offset, LoadAt(view, offset) + value);
}

double LoadFlat(ConstTensorView view, int64_t flat) {
  return LoadAt(view, FlatOffset(view, flat));
}

void StoreFlat(TensorView view, int64_t flat, double value) {
  StoreAt(view, FlatOffset(view, flat), value);
}

}  // namespace longspan::kernels
