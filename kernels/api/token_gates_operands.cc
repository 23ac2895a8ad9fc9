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

absl::Status CheckBounds(OperandCheck& check,
                         const BoundedForgetGateInputs& inputs,
                         const char* name, ConstTensorView y) {
  const ConstTensorView& bounds = inputs.bounds;
  RETURN_IF_ERROR(CheckRows(check, inputs.x, name, y));
  RETURN_IF_ERROR(
      check.Present("bounds", bounds).Rank("bounds", bounds, 2).status());
  check.That(1 <= inputs.layer && inputs.layer < bounds.size(0),
             absl::StrCat("layer is ", inputs.layer, " of ", bounds.size(0),
                          " bounds; the first layer has none"));
  return check
      .Dense("bounds", bounds, AccumulatorOf(inputs.x.dtype()),
             {bounds.size(0), inputs.x.size(1)})
      .status();
}

absl::Status CheckProduct(OperandCheck& check,
                          const SigmoidProductInputs& inputs, const char* name,
                          ConstTensorView y) {
  const ConstTensorView& x = inputs.x;
  check.Floating("x", x).Rank("x", x, 2);
  RETURN_IF_ERROR(check.status());
  check.Like("gate", inputs.gate, x);
  check.Dense("bias", inputs.bias, AccumulatorOf(x.dtype()), {x.size(1)});
  return check.Like(name, y, x).status();
}

// x and y [M, H, D], and one parameter a head.
absl::Status CheckHeads(OperandCheck& check, ConstTensorView x,
                        const char* name, ConstTensorView y,
                        const char* parameter_name, ConstTensorView parameter) {
  check.Floating("x", x).Rank("x", x, 3);
  RETURN_IF_ERROR(check.status());
  check.Like(name, y, x);
  return check
      .Dense(parameter_name, parameter, AccumulatorOf(x.dtype()), {x.size(1)})
      .status();
}

absl::Status CheckStep(OperandCheck& check, const StepProductInputs& inputs,
                       const char* name, ConstTensorView y) {
  const ConstTensorView& x = inputs.x;
  RETURN_IF_ERROR(CheckHeads(check, x, name, y, "a_log", inputs.a_log));
  return check
      .Dense("log_gate", inputs.log_gate, AccumulatorOf(x.dtype()),
             {x.size(0), x.size(1)})
      .status();
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

absl::Status CheckForgetGate(ConstTensorView x, ConstTensorView y,
                             ConstTensorView k, const OperandRules& rules) {
  OperandCheck check("ForgetGate", rules);
  RETURN_IF_ERROR(CheckRows(check, x, "y", y));
  return check.Like("k", k, x).status();
}

absl::Status CheckForgetGateBackward(ConstTensorView x, ConstTensorView d_y,
                                     ConstTensorView d_k, ConstTensorView d_x,
                                     const OperandRules& rules) {
  OperandCheck check("ForgetGateBackward", rules);
  RETURN_IF_ERROR(CheckRows(check, x, "d_y", d_y));
  return check.Like("d_k", d_k, x).Like("d_x", d_x, x).status();
}

absl::Status CheckBoundedForgetGate(const BoundedForgetGateInputs& inputs,
                                    ConstTensorView y, ConstTensorView k,
                                    const OperandRules& rules) {
  OperandCheck check("BoundedForgetGate", rules);
  RETURN_IF_ERROR(CheckBounds(check, inputs, "y", y));
  return check.Like("k", k, inputs.x).status();
}

absl::Status CheckBoundedForgetGateBackward(
    const BoundedForgetGateInputs& inputs, ConstTensorView d_y,
    ConstTensorView d_k, const BoundedForgetGateGradients& gradients,
    const OperandRules& rules) {
  OperandCheck check("BoundedForgetGateBackward", rules);
  RETURN_IF_ERROR(CheckBounds(check, inputs, "d_y", d_y));
  return check.Like("d_k", d_k, inputs.x)
      .Like("d_x", gradients.d_x, inputs.x)
      .Contiguous("d_bounds", gradients.d_bounds)
      .Like("d_bounds", gradients.d_bounds, inputs.bounds)
      .status();
}

absl::Status CheckSigmoidProduct(const SigmoidProductInputs& inputs,
                                 ConstTensorView y, const OperandRules& rules) {
  OperandCheck check("SigmoidProduct", rules);
  return CheckProduct(check, inputs, "y", y);
}

absl::Status CheckSigmoidProductBackward(
    const SigmoidProductInputs& inputs, ConstTensorView d_y,
    const SigmoidProductGradients& gradients, const OperandRules& rules) {
  OperandCheck check("SigmoidProductBackward", rules);
  RETURN_IF_ERROR(CheckProduct(check, inputs, "d_y", d_y));
  return check.Like("d_x", gradients.d_x, inputs.x)
      .Like("d_gate", gradients.d_gate, inputs.x)
      .Like("d_bias", gradients.d_bias, inputs.bias)
      .status();
}

absl::Status CheckStepProduct(const StepProductInputs& inputs,
                              ConstTensorView y, const OperandRules& rules) {
  OperandCheck check("StepProduct", rules);
  return CheckStep(check, inputs, "y", y);
}

absl::Status CheckStepProductBackward(const StepProductInputs& inputs,
                                      ConstTensorView d_y,
                                      const StepProductGradients& gradients,
                                      const OperandRules& rules) {
  OperandCheck check("StepProductBackward", rules);
  RETURN_IF_ERROR(CheckStep(check, inputs, "d_y", d_y));
  return check.Like("d_x", gradients.d_x, inputs.x)
      .Contiguous("d_log_gate", gradients.d_log_gate)
      .Like("d_log_gate", gradients.d_log_gate, inputs.log_gate)
      .Like("d_a_log", gradients.d_a_log, inputs.a_log)
      .status();
}

absl::Status CheckAddSkip(ConstTensorView x, ConstTensorView weight,
                          ConstTensorView y, const OperandRules& rules) {
  OperandCheck check("AddSkip", rules);
  return CheckHeads(check, x, "y", y, "weight", weight);
}

absl::Status CheckAddSkipBackward(ConstTensorView x, ConstTensorView weight,
                                  ConstTensorView d_y, ConstTensorView d_x,
                                  ConstTensorView d_weight,
                                  const OperandRules& rules) {
  OperandCheck check("AddSkipBackward", rules);
  RETURN_IF_ERROR(CheckHeads(check, x, "d_y", d_y, "weight", weight));
  return check.Like("d_x", d_x, x).Like("d_weight", d_weight, weight).status();
}

}  // namespace longspan::kernels
