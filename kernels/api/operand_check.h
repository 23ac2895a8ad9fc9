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

// What a backend's ops take, and whether a check may look at the numbers in
// its operands (ids, slots, steps) or only at their shapes.
struct OperandRules {
  bool f64 = true;
  bool bf16 = false;
  bool readable = true;
};
inline constexpr OperandRules kCpuOperands = {true, false, true};
inline constexpr OperandRules kReferenceOperands = {true, true, true};
inline constexpr OperandRules kCudaOperands = {false, true, false};

class OperandCheck {
 public:
  explicit OperandCheck(const char* op,
                        const OperandRules& rules = kCpuOperands)
      : op_(op), rules_(rules) {}

  // Present (not null).
  OperandCheck& Present(const char* name, ConstTensorView view);
  // Present, of a floating type that the backend has, last dimension
  // contiguous.
  OperandCheck& Floating(const char* name, ConstTensorView view);
  // The same, and not bf16: sums, states, parameters of rank 1.
  OperandCheck& Accumulator(const char* name, ConstTensorView view);
  OperandCheck& Type(const char* name, ConstTensorView view, DType dtype);
  OperandCheck& Rank(const char* name, ConstTensorView view, int rank);
  OperandCheck& Shape(const char* name, ConstTensorView view,
                      std::initializer_list<int64_t> shape);
  OperandCheck& Contiguous(const char* name, ConstTensorView view);
  // Present, with the type and shape of `model`, last dimension contiguous.
  OperandCheck& Like(const char* name, ConstTensorView view,
                     ConstTensorView model);
  // The same with the type that sums beside `model` have.
  OperandCheck& AccumulatorLike(const char* name, ConstTensorView view,
                                ConstTensorView model);
  // Present, contiguous, of this type and shape.
  OperandCheck& Dense(const char* name, ConstTensorView view, DType dtype,
                      std::initializer_list<int64_t> shape);
  // At least `bytes` of contiguous memory aligned to 64 (null when 0).
  OperandCheck& Workspace(ConstTensorView view, int64_t bytes);
  OperandCheck& That(bool condition, const std::string& problem);

  const char* op() const { return op_; }
  const OperandRules& rules() const { return rules_; }
  const absl::Status& status() const { return status_; }

 private:
  OperandCheck& Fail(const std::string& problem);
  OperandCheck& RowsContiguous(const char* name, ConstTensorView view);
  OperandCheck& Matches(const char* name, ConstTensorView view, DType dtype,
                        ConstTensorView model);

  const char* op_;
  OperandRules rules_;
  absl::Status status_;
};

}  // namespace longspan::kernels
