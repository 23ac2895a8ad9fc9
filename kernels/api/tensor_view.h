// A tensor view: where the numbers lie, of which type, in which shape.
//
// Views own nothing and are passed by value. Strides count elements, so a view
// can be a slice of a larger buffer, such as the keys inside a fused QKV
// activation. The last dimension of every operand is contiguous (stride 1)
// unless an op says otherwise. All sizes and strides are 64-bit.
//
// Dimension letters used by all op headers: B batch, T tokens, H heads, D head
// size, M rows (B*T), N, K matrix sizes, C channels, V vocabulary.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "common/base/check.h"

namespace longspan::kernels {

enum class DType : uint8_t { kF32, kF64, kBF16, kU8, kI32, kI64 };

int64_t BytesPerElement(DType dtype);

// The type of sums, states, parameters and their gradients beside activations
// of type `dtype`: f32 beside bf16, else the same. The cpu backend has f32 and
// f64, bf16 in linear attention and copies; reference all, cuda f32 and bf16.
constexpr DType AccumulatorOf(DType dtype) {
  return dtype == DType::kBF16 ? DType::kF32 : dtype;
}
const char* DTypeName(DType dtype);  // "f32", "f64", "bf16", "u8", "i32", "i64"

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType kValue = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType kValue = DType::kF64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType kValue = DType::kU8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType kValue = DType::kI32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType kValue = DType::kI64;
};

inline constexpr int kMaxRank = 5;

// `Pointer` is void* or const void*. Use the aliases below.
template <typename Pointer>
class BasicTensorView {
 public:
  // An absent operand: optional inputs and outputs of ops are null views.
  BasicTensorView() = default;

  // A contiguous view.
  BasicTensorView(Pointer data, DType dtype,
                  std::initializer_list<int64_t> shape)
      : data_(data), dtype_(dtype) {
    rank_ = static_cast<int>(shape.size());
    LONGSPAN_CHECK(rank_ <= kMaxRank) << "rank " << rank_;
    int i = 0;
    for (int64_t size : shape) shape_[i++] = size;
    int64_t stride = 1;
    for (i = rank_ - 1; i >= 0; --i) {
      stride_[i] = stride;
      stride *= shape_[i];
    }
  }

  // A mutable view is also a const one.
  template <typename Other>
  BasicTensorView(const BasicTensorView<Other>& other)  // NOLINT: implicit
      : data_(other.data()), dtype_(other.dtype()), rank_(other.rank()) {
    for (int i = 0; i < rank_; ++i) {
      shape_[i] = other.size(i);
      stride_[i] = other.stride(i);
    }
  }

  bool is_null() const { return data_ == nullptr; }
  Pointer data() const { return data_; }
  DType dtype() const { return dtype_; }
  int rank() const { return rank_; }
  int64_t size(int dim) const { return shape_[dim]; }
  int64_t stride(int dim) const { return stride_[dim]; }

  int64_t element_count() const {
    int64_t count = 1;
    for (int i = 0; i < rank_; ++i) count *= shape_[i];
    return count;
  }
  int64_t byte_count() const {
    return element_count() * BytesPerElement(dtype_);
  }
  bool is_contiguous() const {
    int64_t stride = 1;
    for (int i = rank_ - 1; i >= 0; --i) {
      if (shape_[i] != 1 && stride_[i] != stride) return false;
      stride *= shape_[i];
    }
    return true;
  }

  // The elements as T*, or const T* for a const view. T must match dtype().
  template <typename T>
  auto data_as() const {
    using Element =
        std::conditional_t<std::is_const_v<std::remove_pointer_t<Pointer>>,
                           const T, T>;
    LONGSPAN_CHECK(dtype_ == DTypeOf<T>::kValue)
        << "view holds " << DTypeName(dtype_);
    return static_cast<Element*>(data_);
  }

  // Elements [begin, end) of dimension `dim`.
  BasicTensorView Slice(int dim, int64_t begin, int64_t end) const {
    LONGSPAN_CHECK(0 <= begin && begin <= end && end <= shape_[dim])
        << "slice [" << begin << ", " << end << ") of " << shape_[dim];
    BasicTensorView view = *this;
    view.shape_[dim] = end - begin;
    view.data_ = Offset(begin * stride_[dim]);
    return view;
  }

  // Element `index` of dimension `dim`, which disappears.
  BasicTensorView Select(int dim, int64_t index) const {
    BasicTensorView view = Slice(dim, index, index + 1);
    for (int i = dim; i + 1 < rank_; ++i) {
      view.shape_[i] = view.shape_[i + 1];
      view.stride_[i] = view.stride_[i + 1];
    }
    --view.rank_;
    return view;
  }

  // The same contiguous elements in another shape.
  BasicTensorView Reshape(std::initializer_list<int64_t> shape) const {
    LONGSPAN_CHECK(is_contiguous()) << "reshape of a strided view";
    BasicTensorView view(data_, dtype_, shape);
    LONGSPAN_CHECK(view.element_count() == element_count())
        << view.element_count() << " against " << element_count();
    return view;
  }

  // Splits the last dimension into [heads, size / heads]; works on strided
  // views, so that projections can be used as [B, T, H, D] without a copy.
  BasicTensorView SplitLast(int64_t heads) const {
    LONGSPAN_CHECK(rank_ < kMaxRank && shape_[rank_ - 1] % heads == 0)
        << "last dimension " << shape_[rank_ - 1] << ", heads " << heads;
    BasicTensorView view = *this;
    const int64_t head_size = shape_[rank_ - 1] / heads;
    view.shape_[rank_ - 1] = heads;
    view.stride_[rank_ - 1] = head_size * stride_[rank_ - 1];
    view.shape_[rank_] = head_size;
    view.stride_[rank_] = stride_[rank_ - 1];
    view.rank_ = rank_ + 1;
    return view;
  }

  std::string DebugString() const;  // "f32[2, 64, 4, 16]"

 private:
  Pointer Offset(int64_t elements) const {
    using Byte =
        std::conditional_t<std::is_const_v<std::remove_pointer_t<Pointer>>,
                           const std::byte, std::byte>;
    if (data_ == nullptr) return data_;
    return static_cast<Byte*>(data_) + elements * BytesPerElement(dtype_);
  }

  Pointer data_ = nullptr;
  DType dtype_ = DType::kF32;
  int rank_ = 0;
  std::array<int64_t, kMaxRank> shape_ = {};
  std::array<int64_t, kMaxRank> stride_ = {};
};

using TensorView = BasicTensorView<void*>;
using ConstTensorView = BasicTensorView<const void*>;

}  // namespace longspan::kernels
