#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

int64_t BytesPerElement(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
      return 2;
    case DType::kU8:
      return 1;
  }
  LONGSPAN_CHECK(false) << "dtype " << static_cast<int>(dtype);
  return 0;
}

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF64:
      return "f64";
    case DType::kBF16:
      return "bf16";
    case DType::kU8:
      return "u8";
    case DType::kI32:
      return "i32";
    case DType::kI64:
      return "i64";
  }
  return "unknown";
}

template <typename Pointer>
std::string BasicTensorView<Pointer>::DebugString() const {
  std::string text = std::string(DTypeName(dtype_)) + "[";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape_[i]);
  }
  return text + "]";
}

template class BasicTensorView<void*>;
template class BasicTensorView<const void*>;

}  // namespace longspan::kernels
