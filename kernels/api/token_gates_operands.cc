#include "kernels/api/token_gates_operands.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::kernels {
namespace {

absl::Status CheckRows(OperandCheck& check, ConstTensorView x, const char* name,
                       ConstTensorView y) {
  check.Floating("x", x).Rank("x", x, 2);
  RETURN_IF_ERROR(check.status());
  return check.AccumulatorLike(name, y, x).status();
}

absl::Status CheckGate(OperandCheck& check, const SoftplusGateInputs& inputs,
                       const char* name, ConstTensorView y) {
  RETURN_IF_ERROR(CheckRows(check, inputs.x, name, y));
  const int64_t columns = inputs.x.size(1);
  const DType dtype = AccumulatorOf(inputs.x.dtype());
  check.Dense("bias", inputs.bias, dtype, {columns});
  RETURN_IF_ERROR(check.Present("a_log", inputs.a_log)
                      .Rank("a_log", inputs.a_log, 1)
                      .status());
  const int64_t heads = inputs.a_log.size(0);
  check.That(heads > 0 && columns % heads == 0,
             absl::StrCat("x has ", columns, " columns, which ", heads,
                          " heads of a_log do not divide"));
  return check.Dense("a_log", inputs.a_log, dtype, {heads}).status();
}

}  // namespace

absl::Status CheckSigmoid(ConstTensorView x, ConstTensorView y,
                          const OperandRules& rules) {
  OperandCheck check("Sigmoid", rules);
  return CheckRows(check, x, "y", y);
}

absl::Status CheckSigmoidBackward(ConstTensorView x, ConstTensorView d_y,
                                  ConstTensorView d_x,
                                  const OperandRules& rules) {
  OperandCheck check("SigmoidBackward", rules);
  RETURN_IF_ERROR(CheckRows(check, x, "d_y", d_y));
  return check.Like("d_x", d_x, x).status();
}

absl::Status CheckSoftplusGate(const SoftplusGateInputs& inputs,
                               ConstTensorView y, const OperandRules& rules) {
  OperandCheck check("SoftplusGate", rules);
  return CheckGate(check, inputs, "y", y);
}

absl::Status CheckSoftplusGateBackward(const SoftplusGateInputs& inputs,
                                       ConstTensorView d_y,
                                       const SoftplusGateGradients& gradients,
                                       const OperandRules& rules) {
  OperandCheck check("SoftplusGateBackward", rules);
  RETURN_IF_ERROR(CheckGate(check, inputs, "d_y", d_y));
  return check.Like("d_x", gradients.d_x, inputs.x)
      .Like("d_bias", gradients.d_bias, inputs.bias)
      .Like("d_a_log", gradients.d_a_log, inputs.a_log)
      .status();
}

}  // namespace longspan::kernels
