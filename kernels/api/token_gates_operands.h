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

}  // namespace longspan::kernels
