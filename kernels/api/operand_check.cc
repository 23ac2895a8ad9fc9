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

bool Has(const OperandRules& rules, DType dtype) {
  return dtype == DType::kF32 || (dtype == DType::kF64 && rules.f64) ||
         (dtype == DType::kBF16 && rules.bf16);
}

const char* FloatingTypes(const OperandRules& rules) {
  if (!rules.bf16) return rules.f64 ? "f32 or f64" : "f32";
  return rules.f64 ? "f32, f64 or bf16" : "f32 or bf16";
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

OperandCheck& OperandCheck::RowsContiguous(const char* name,
                                           ConstTensorView view) {
  const int last = view.rank() - 1;
  if (last < 0 || view.size(last) <= 1 || view.stride(last) == 1) return *this;
  return Fail(absl::StrCat(name, " ", view.DebugString(), " has stride ",
                           view.stride(last),
                           " in its last dimension, needs 1"));
}

OperandCheck& OperandCheck::Floating(const char* name, ConstTensorView view) {
  Present(name, view);
  if (!Has(rules_, view.dtype())) {
    return Fail(absl::StrCat(name, " is ", view.DebugString(), ", needs type ",
                             FloatingTypes(rules_)));
  }
  return RowsContiguous(name, view);
}

OperandCheck& OperandCheck::Accumulator(const char* name,
                                        ConstTensorView view) {
  Present(name, view);
  if (view.dtype() == DType::kBF16) {
    return Fail(absl::StrCat(name, " is ", view.DebugString(), ", needs type ",
                             rules_.f64 ? "f32 or f64" : "f32"));
  }
  return Floating(name, view);
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

OperandCheck& OperandCheck::Matches(const char* name, ConstTensorView view,
                                    DType dtype, ConstTensorView model) {
  Present(name, view);
  if (view.dtype() != dtype || !SameShape(view, model)) {
    const std::string model_text = model.DebugString();
    return Fail(absl::StrCat(name, " is ", view.DebugString(), ", needs ",
                             DTypeName(dtype),
                             model_text.substr(model_text.find('['))));
  }
  return Floating(name, view);
}

OperandCheck& OperandCheck::Like(const char* name, ConstTensorView view,
                                 ConstTensorView model) {
  return Matches(name, view, model.dtype(), model);
}

OperandCheck& OperandCheck::AccumulatorLike(const char* name,
                                            ConstTensorView view,
                                            ConstTensorView model) {
  return Matches(name, view, AccumulatorOf(model.dtype()), model);
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
