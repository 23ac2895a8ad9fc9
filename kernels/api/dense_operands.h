// Operand rules of kernels/api/dense.h, the same for every backend. Each
// returns kInvalidArgument naming the operand, what it is and what it must be.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/dense.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {

absl::Status CheckMatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                         const MatMulOptions& options,
                         const OperandRules& rules = kCpuOperands);

// These also read ids and targets, where the backend's operands lie in host
// memory: each id must lie in [0, V), each target below V.
absl::Status CheckEmbed(ConstTensorView ids, ConstTensorView table,
                        ConstTensorView rows,
                        const OperandRules& rules = kCpuOperands);

absl::Status CheckEmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                                TensorView d_table,
                                const OperandRules& rules = kCpuOperands);

// `gradients` is null for Forward.
absl::Status CheckCrossEntropy(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients* gradients,
                               const OperandRules& rules = kCpuOperands);

}  // namespace longspan::kernels
