// The launches of softmax attention: each returns 0 or a CUDA error code.
#pragma once

#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cuda/softmax_attention_params.h"

namespace longspan::kernels::cuda {

int LaunchSoftmaxForward(const CudaAttentionForwardPlan& plan,
                         const SoftmaxForwardParams& params,
                         void* native_stream);

// The stages of the backward pass, in this order: per query row its base-2
// log-sum-exp and delta; d_k and d_v; d_q.
int LaunchSoftmaxBackwardRows(const CudaAttentionBackwardPlan& plan,
                              const SoftmaxBackwardParams& params,
                              void* native_stream);
int LaunchSoftmaxBackwardKeys(const CudaAttentionBackwardPlan& plan,
                              const SoftmaxBackwardParams& params,
                              void* native_stream);
int LaunchSoftmaxBackwardQueries(const CudaAttentionBackwardPlan& plan,
                                 const SoftmaxBackwardParams& params,
                                 void* native_stream);

}  // namespace longspan::kernels::cuda
