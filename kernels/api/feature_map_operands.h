// Operand rules of kernels/api/feature_map.h, the same for every backend.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/feature_map.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {

absl::Status CheckFeatureMap(const FeatureMapInputs& inputs, ConstTensorView y,
                             const OperandRules& rules = kCpuOperands);
absl::Status CheckFeatureMapBackward(const FeatureMapInputs& inputs,
                                     ConstTensorView d_y,
                                     const FeatureMapGradients& gradients,
                                     const OperandRules& rules = kCpuOperands);

// `wide` has one column more than `narrow`, both [M, H, columns].
absl::Status CheckWideAndNarrow(const char* op, ConstTensorView wide,
                                ConstTensorView narrow,
                                const OperandRules& rules = kCpuOperands);

// Elements of all parameters of the map.
int64_t FeatureMapParameterCount(const FeatureMapInputs& inputs);

}  // namespace longspan::kernels
