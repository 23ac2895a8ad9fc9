// Operand rules of kernels/api/elementwise.h and optimizer.h, the same for
// every backend. Each returns kInvalidArgument naming the operand, what it is
// and what it must be.
#pragma once

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/operand_check.h"
#include "kernels/api/optimizer.h"

namespace longspan::kernels {

absl::Status CheckRmsNorm(const RmsNormInputs& inputs, ConstTensorView y,
                          ConstTensorView rstd,
                          const OperandRules& rules = kCpuOperands);
absl::Status CheckRmsNormBackward(const RmsNormInputs& inputs,
                                  ConstTensorView rstd, ConstTensorView d_y,
                                  const RmsNormGradients& gradients,
                                  const OperandRules& rules = kCpuOperands);

absl::Status CheckRotary(ConstTensorView x, ConstTensorView positions,
                         double base, ConstTensorView y,
                         const OperandRules& rules = kCpuOperands);

// All of `others` have the type and shape of `x`; rows contiguous.
absl::Status CheckSameRows(const char* op, ConstTensorView x,
                           std::initializer_list<ConstTensorView> others,
                           const OperandRules& rules = kCpuOperands);

absl::Status CheckLogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                                 double normalizer, ConstTensorView y,
                                 const OperandRules& rules = kCpuOperands);

absl::Status CheckLogSigmoidGateBackward(
    ConstTensorView x, ConstTensorView bias, double normalizer,
    ConstTensorView d_y, ConstTensorView d_x, ConstTensorView d_bias,
    const OperandRules& rules = kCpuOperands);

absl::Status CheckCopy(ConstTensorView from, ConstTensorView to,
                       const OperandRules& rules = kCpuOperands);

absl::Status CheckScale(ConstTensorView x, ConstTensorView factor,
                        ConstTensorView y,
                        const OperandRules& rules = kCpuOperands);

absl::Status CheckShortConvolution(const ShortConvolutionInputs& inputs,
                                   ConstTensorView y,
                                   const OperandRules& rules = kCpuOperands);
absl::Status CheckShortConvolutionBackward(
    const ShortConvolutionInputs& inputs, ConstTensorView d_y,
    const ShortConvolutionGradients& gradients,
    const OperandRules& rules = kCpuOperands);

absl::Status CheckAdamW(absl::Span<const AdamWTensor> tensors,
                        const AdamWScalars& scalars,
                        const OperandRules& rules = kCpuOperands);
absl::Status CheckSumOfSquares(absl::Span<const ConstTensorView> tensors,
                               ConstTensorView out,
                               const OperandRules& rules = kCpuOperands);
absl::Status CheckClipFactor(ConstTensorView sum_of_squares, double max_norm,
                             ConstTensorView factor,
                             const OperandRules& rules = kCpuOperands);

}  // namespace longspan::kernels
