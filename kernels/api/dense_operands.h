// Operand rules of kernels/api/dense.h, the same for every backend. Each
// returns kInvalidArgument naming the operand, what it is and what it must be.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/dense.h"

namespace longspan::kernels {

absl::Status CheckMatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                         const MatMulOptions& options);

// Also reads the ids: each must lie in [0, V).
absl::Status CheckEmbed(ConstTensorView ids, ConstTensorView table,
                        ConstTensorView rows);

// `gradients` is null for Forward. Also reads the targets.
absl::Status CheckCrossEntropy(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients* gradients);

}  // namespace longspan::kernels
