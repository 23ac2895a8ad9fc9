// Operand rules of kernels/api/elementwise.h and optimizer.h, the same for
// every backend. Each returns kInvalidArgument naming the operand, what it is
// and what it must be.
#pragma once

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/optimizer.h"

namespace longspan::kernels {

absl::Status CheckRmsNorm(const RmsNormInputs& inputs, ConstTensorView y,
                          ConstTensorView rstd);
absl::Status CheckRmsNormBackward(const RmsNormInputs& inputs,
                                  ConstTensorView rstd, ConstTensorView d_y,
                                  const RmsNormGradients& gradients);

absl::Status CheckRotary(ConstTensorView x, ConstTensorView positions,
                         double base, ConstTensorView y);

// All of `others` have the type and shape of `x`; rows contiguous.
absl::Status CheckSameRows(const char* op, ConstTensorView x,
                           std::initializer_list<ConstTensorView> others);

absl::Status CheckLogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                                 double normalizer, ConstTensorView y);

absl::Status CheckCopy(ConstTensorView from, ConstTensorView to);

absl::Status CheckShortConvolution(const ShortConvolutionInputs& inputs,
                                   ConstTensorView y);
absl::Status CheckShortConvolutionBackward(
    const ShortConvolutionInputs& inputs, ConstTensorView d_y,
    const ShortConvolutionGradients& gradients);

absl::Status CheckAdamW(absl::Span<const AdamWTensor> tensors,
                        const AdamWScalars& scalars);
absl::Status CheckSumOfSquares(absl::Span<const ConstTensorView> tensors,
                               ConstTensorView out);

}  // namespace longspan::kernels
