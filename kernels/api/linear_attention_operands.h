// Operand checks of the linear-attention entry points, shared by all backends.
//
// Each returns the sizes when the operands fit together, else kInvalidArgument
// naming the operand, its shape and the shape that was needed.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/linear_attention.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {

struct LinearAttentionSizes {
  DType dtype = DType::kF32;
  int64_t batch = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  int64_t key_heads = 0;  // of q and k

  // The head of q and k that head h reads.
  int64_t KeyHeadOf(int64_t h) const { return h / (heads / key_heads); }
};

// How many prefix snapshots a range of `tokens` has.
constexpr int64_t SnapshotCount(int64_t tokens, int64_t interval) {
  return interval <= 0 ? 0 : (tokens - 1) / interval;
}

absl::StatusOr<LinearAttentionSizes> CheckSummarise(
    const LinearAttentionInputs& inputs, const LinearAttentionSummary& summary,
    const OperandRules& rules = kCpuOperands);

absl::StatusOr<LinearAttentionSizes> CheckOutputs(
    const LinearAttentionInputs& inputs, ConstTensorView initial_state,
    const LinearAttentionOutputs& outputs,
    const OperandRules& rules = kCpuOperands);

absl::StatusOr<LinearAttentionSizes> CheckSummariseBackward(
    const LinearAttentionInputs& inputs, ConstTensorView d_o,
    TensorView d_state, const OperandRules& rules = kCpuOperands);

absl::StatusOr<LinearAttentionSizes> CheckGradients(
    const LinearAttentionInputs& inputs, ConstTensorView initial_state,
    const LinearAttentionOutputGradients& output_gradients,
    const LinearAttentionGradients& gradients,
    const OperandRules& rules = kCpuOperands);

absl::Status CheckFoldSummaries(ConstTensorView states, ConstTensorView decays,
                                ConstTensorView initial_state, TensorView state,
                                const OperandRules& rules = kCpuOperands);

absl::StatusOr<LinearAttentionSizes> CheckDecode(
    const LinearAttentionInputs& inputs, ConstTensorView slots,
    TensorView state_pool, TensorView o,
    const OperandRules& rules = kCpuOperands);

// Strictly increasing starts in [0, tokens), and batch 1 if there are any.
absl::Status CheckDocuments(const char* op, const Documents& documents,
                            int64_t batch, int64_t tokens,
                            const OperandRules& rules = kCpuOperands);

}  // namespace longspan::kernels
