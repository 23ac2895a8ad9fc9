// A softmax-attention call made ready: operands checked, launch planned, and
// everything the kernels need in one struct.
//
// kInvalidArgument as in kernels/api/softmax_attention.h, also for f64;
// kUnimplemented for head dimensions beyond 256, a scale that is not positive
// and 2^31 tokens or more.
#pragma once

#include "absl/status/statusor.h"
#include "kernels/api/softmax_attention.h"
#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cuda/softmax_attention_params.h"

namespace longspan::kernels::cuda {

struct SoftmaxForwardCall {
  CudaAttentionForwardPlan plan;
  SoftmaxForwardParams params;
};

struct SoftmaxBackwardCall {
  CudaAttentionBackwardPlan plan;
  SoftmaxBackwardParams params;  // its order of blocks is set per pass
};

absl::StatusOr<SoftmaxForwardCall> PrepareSoftmaxForward(
    const SoftmaxAttentionInputs& inputs, TensorView o, TensorView lse,
    TensorView workspace);

// The same with a given number of splits, for comparisons; `workspace` has the
// bytes of PlanCudaAttentionForwardSplit.
absl::StatusOr<SoftmaxForwardCall> PrepareSoftmaxForwardSplit(
    const SoftmaxAttentionInputs& inputs, int splits, TensorView o,
    TensorView lse, TensorView workspace);

absl::StatusOr<SoftmaxBackwardCall> PrepareSoftmaxBackward(
    const SoftmaxAttentionInputs& inputs, const SoftmaxAttentionSaved& saved,
    ConstTensorView d_o, const SoftmaxAttentionGradients& gradients,
    TensorView workspace);

}  // namespace longspan::kernels::cuda
