// Operand checks shared by all backends: every op refuses the same operands in
// the same words, whatever runs it.
//
//   OperandCheck check("MatMul");
//   check.Floating("a", a).Rank("a", a, 2).Shape("c", c, {m, n});
//   RETURN_IF_ERROR(check.status());
//
// The first failure is kept and later checks become no-ops, so a check may use
// sizes that an earlier one has vouched for only through a status() in
// between. Errors are kInvalidArgument: "MatMul: c is f32[3, 5], needs
// f32[3, 4]".
#pragma once

#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

class OperandCheck {
 public:
  explicit OperandCheck(const char* op) : op_(op) {}

  // Present (not null).
  OperandCheck& Present(const char* name, ConstTensorView view);
  // Present, f32 or f64, last dimension contiguous.
  OperandCheck& Floating(const char* name, ConstTensorView view);
  OperandCheck& Type(const char* name, ConstTensorView view, DType dtype);
  OperandCheck& Rank(const char* name, ConstTensorView view, int rank);
  OperandCheck& Shape(const char* name, ConstTensorView view,
                      std::initializer_list<int64_t> shape);
  OperandCheck& Contiguous(const char* name, ConstTensorView view);
  // Present, with the type and shape of `model`, last dimension contiguous.
  OperandCheck& Like(const char* name, ConstTensorView view,
                     ConstTensorView model);
  // Present, contiguous, of this type and shape.
  OperandCheck& Dense(const char* name, ConstTensorView view, DType dtype,
                      std::initializer_list<int64_t> shape);
  // At least `bytes` of contiguous memory aligned to 64 (null when 0).
  OperandCheck& Workspace(ConstTensorView view, int64_t bytes);
  OperandCheck& That(bool condition, const std::string& problem);

  const absl::Status& status() const { return status_; }

 private:
  OperandCheck& Fail(const std::string& problem);

  const char* op_;
  absl::Status status_;
};

}  // namespace longspan::kernels
