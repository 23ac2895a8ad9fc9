// Operand rules of kernels/api/token_gates.h, the same for every backend.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/operand_check.h"
#include "kernels/api/token_gates.h"

namespace longspan::kernels {

// x and y (or d_y) [M, N], y of the type of sums.
absl::Status CheckSigmoid(ConstTensorView x, ConstTensorView y,
                          const OperandRules& rules = kCpuOperands);
absl::Status CheckSigmoidBackward(ConstTensorView x, ConstTensorView d_y,
                                  ConstTensorView d_x,
                                  const OperandRules& rules = kCpuOperands);

absl::Status CheckSoftplusGate(const SoftplusGateInputs& inputs,
                               ConstTensorView y,
                               const OperandRules& rules = kCpuOperands);
absl::Status CheckSoftplusGateBackward(
    const SoftplusGateInputs& inputs, ConstTensorView d_y,
    const SoftplusGateGradients& gradients,
    const OperandRules& rules = kCpuOperands);

absl::Status CheckForgetGate(ConstTensorView x, ConstTensorView y,
                             ConstTensorView k,
                             const OperandRules& rules = kCpuOperands);
absl::Status CheckForgetGateBackward(ConstTensorView x, ConstTensorView d_y,
                                     ConstTensorView d_k, ConstTensorView d_x,
                                     const OperandRules& rules = kCpuOperands);

absl::Status CheckBoundedForgetGate(const BoundedForgetGateInputs& inputs,
                                    ConstTensorView y, ConstTensorView k,
                                    const OperandRules& rules = {});
absl::Status CheckBoundedForgetGateBackward(
    const BoundedForgetGateInputs& inputs, ConstTensorView d_y,
    ConstTensorView d_k, const BoundedForgetGateGradients& gradients,
    const OperandRules& rules = {});
absl::Status CheckSigmoidProduct(const SigmoidProductInputs& inputs,
                                 ConstTensorView y,
                                 const OperandRules& rules = kCpuOperands);
absl::Status CheckSigmoidProductBackward(
    const SigmoidProductInputs& inputs, ConstTensorView d_y,
    const SigmoidProductGradients& gradients,
    const OperandRules& rules = kCpuOperands);

absl::Status CheckStepProduct(const StepProductInputs& inputs,
                              ConstTensorView y,
                              const OperandRules& rules = kCpuOperands);
absl::Status CheckStepProductBackward(const StepProductInputs& inputs,
                                      ConstTensorView d_y,
                                      const StepProductGradients& gradients,
                                      const OperandRules& rules = kCpuOperands);

absl::Status CheckAddSkip(ConstTensorView x, ConstTensorView weight,
                          ConstTensorView y,
                          const OperandRules& rules = kCpuOperands);
absl::Status CheckAddSkipBackward(ConstTensorView x, ConstTensorView weight,
                                  ConstTensorView d_y, ConstTensorView d_x,
                                  ConstTensorView d_weight,
                                  const OperandRules& rules = kCpuOperands);

}  // namespace longspan::kernels
