// Operand checks of softmax attention, shared by all backends: the sizes when
// the operands fit together, else kInvalidArgument naming the operand.
#pragma once

#include "absl/status/statusor.h"
#include "kernels/api/operand_check.h"
#include "kernels/api/softmax_attention.h"

namespace longspan::kernels {

struct SoftmaxAttentionSizes {
  DType dtype = DType::kF32;
  int64_t batch = 0;
  int64_t query_tokens = 0;
  int64_t key_tokens = 0;
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_dim = 0;
};

absl::StatusOr<SoftmaxAttentionSizes> CheckSoftmaxForward(
    const SoftmaxAttentionInputs& inputs, TensorView o, TensorView lse,
    const OperandRules& rules = kCpuOperands);

absl::StatusOr<SoftmaxAttentionSizes> CheckSoftmaxBackward(
    const SoftmaxAttentionInputs& inputs, const SoftmaxAttentionSaved& saved,
    ConstTensorView d_o, const SoftmaxAttentionGradients& gradients,
    const OperandRules& rules = kCpuOperands);

absl::StatusOr<SoftmaxAttentionSizes> CheckSoftmaxMerge(
    const SoftmaxAttentionSaved& part, TensorView o, TensorView lse,
    const OperandRules& rules = kCpuOperands);

// What a merge does to one query: o += weight (o_part - o).
struct SoftmaxMergeStep {
  double weight = 0.0;
  double lse = 0.0;
};
SoftmaxMergeStep MergeStepOf(double lse, double lse_part);

// The keys [begin, end) that query `i` (0-based in the range) may see. Empty
// when begin == end.
struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;
};
KeyRange VisibleKeys(const SoftmaxAttentionInputs& inputs, int64_t i);

}  // namespace longspan::kernels
