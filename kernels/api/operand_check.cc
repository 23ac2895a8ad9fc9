#include "kernels/api/operand_check.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace longspan::kernels {
namespace {

std::string ShapeText(DType dtype, std::initializer_list<int64_t> shape) {
  std::string text = absl::StrCat(DTypeName(dtype), "[");
  const char* separator = "";
  for (int64_t size : shape) {
    absl::StrAppend(&text, separator, size);
    separator = ", ";
  }
  return text + "]";
}

bool HasShape(ConstTensorView view, std::initializer_list<int64_t> shape) {
  if (view.rank() != static_cast<int>(shape.size())) return false;
  int dim = 0;
  for (int64_t size : shape) {
    if (view.size(dim++) != size) return false;
  }
  return true;
}

bool SameShape(ConstTensorView a, ConstTensorView b) {
  if (a.rank() != b.rank()) return false;
  for (int dim = 0; dim < a.rank(); ++dim) {
    if (a.size(dim) != b.size(dim)) return false;
  }
  return true;
}

bool RowsContiguous(ConstTensorView view) {
  const int last = view.rank() - 1;
  return last < 0 || view.size(last) <= 1 || view.stride(last) == 1;
}

}  // namespace

OperandCheck& OperandCheck::Fail(const std::string& problem) {
  if (status_.ok()) {
    status_ = absl::InvalidArgumentError(absl::StrCat(op_, ": ", problem));
  }
  return *this;
}

OperandCheck& OperandCheck::That(bool condition, const std::string& problem) {
  return condition ? *this : Fail(problem);
}

OperandCheck& OperandCheck::Present(const char* name, ConstTensorView view) {
  if (!view.is_null()) return *this;
  return Fail(absl::StrCat(name, " is missing"));
}

OperandCheck& OperandCheck::Floating(const char* name, ConstTensorView view) {
  Present(name, view);
  if (view.dtype() != DType::kF32 && view.dtype() != DType::kF64) {
    return Fail(absl::StrCat(name, " is ", view.DebugString(),
                             ", needs type f32 or f64"));
  }
  if (RowsContiguous(view)) return *this;
  return Fail(absl::StrCat(name, " ", view.DebugString(), " has stride ",
                           view.stride(view.rank() - 1),
                           " in its last dimension, needs 1"));
}

OperandCheck& OperandCheck::Type(const char* name, ConstTensorView view,
                                 DType dtype) {
  Present(name, view);
  if (view.dtype() == dtype) return *this;
  return Fail(absl::StrCat(name, " is ", view.DebugString(), ", needs type ",
                           DTypeName(dtype)));
}

OperandCheck& OperandCheck::Rank(const char* name, ConstTensorView view,
                                 int rank) {
  if (view.rank() == rank) return *this;
  return Fail(
      absl::StrCat(name, " is ", view.DebugString(), ", needs rank ", rank));
}

OperandCheck& OperandCheck::Shape(const char* name, ConstTensorView view,
                                  std::initializer_list<int64_t> shape) {
  if (HasShape(view, shape)) return *this;
  return Fail(absl::StrCat(name, " is ", view.DebugString(), ", needs ",
                           ShapeText(view.dtype(), shape)));
}

OperandCheck& OperandCheck::Contiguous(const char* name, ConstTensorView view) {
  if (view.is_contiguous()) return *this;
  return Fail(absl::StrCat(name, " ", view.DebugString(),
                           " is strided, needs to be contiguous"));
}

OperandCheck& OperandCheck::Like(const char* name, ConstTensorView view,
                                 ConstTensorView model) {
  Present(name, view);
  if (view.dtype() != model.dtype() || !SameShape(view, model)) {
    return Fail(absl::StrCat(name, " is ", view.DebugString(), ", needs ",
                             model.DebugString()));
  }
  return Floating(name, view);
}

OperandCheck& OperandCheck::Dense(const char* name, ConstTensorView view,
                                  DType dtype,
                                  std::initializer_list<int64_t> shape) {
  return Present(name, view)
      .Type(name, view, dtype)
      .Shape(name, view, shape)
      .Contiguous(name, view);
}

OperandCheck& OperandCheck::Workspace(ConstTensorView view, int64_t bytes) {
  if (bytes == 0) return *this;
  if (view.is_null() || !view.is_contiguous() || view.byte_count() < bytes) {
    return Fail(absl::StrCat("workspace is ", view.byte_count(),
                             " bytes, needs ", bytes, " contiguous bytes"));
  }
  return That(reinterpret_cast<uintptr_t>(view.data()) % 64 == 0,
              "workspace is not aligned to 64 bytes");
}

}  // namespace longspan::kernels
