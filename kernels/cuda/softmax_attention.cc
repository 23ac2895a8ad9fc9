#include "kernels/api/softmax_attention.h"

#include <memory>

#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/softmax_attention_call.h"
#include "kernels/cuda/softmax_attention_launch.h"

namespace longspan::kernels::cuda {
namespace {

LaunchShape ShapeOf(const CudaAttentionGrid& grid) {
  return {grid.blocks, kCudaAttentionThreads, grid.tile.shared_bytes};
}

class CudaSoftmaxAttention : public SoftmaxAttention {
 public:
  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView workspace,
                       Stream& stream) override {
    ASSIGN_OR_RETURN(const SoftmaxForwardCall call,
                     PrepareSoftmaxForward(inputs, o, lse, workspace));
    void* const native = CudaStream::Of(stream).native_handle();
    return LaunchStatus(LaunchSoftmaxForward(call.plan, call.params, native),
                        "SoftmaxForwardKernel", ShapeOf(call.plan.grid));
  }

  absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                        const SoftmaxAttentionSaved& saved, ConstTensorView d_o,
                        const SoftmaxAttentionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(
        const SoftmaxBackwardCall call,
        PrepareSoftmaxBackward(inputs, saved, d_o, gradients, workspace));
    void* const native = CudaStream::Of(stream).native_handle();
    RETURN_IF_ERROR(
        LaunchStatus(LaunchSoftmaxBackwardRows(call.plan, call.params, native),
                     "BackwardRowsKernel", ShapeOf(call.plan.by_query)));
    RETURN_IF_ERROR(
        LaunchStatus(LaunchSoftmaxBackwardKeys(call.plan, call.params, native),
                     "BackwardKeysKernel", ShapeOf(call.plan.by_key)));
    return LaunchStatus(
        LaunchSoftmaxBackwardQueries(call.plan, call.params, native),
        "BackwardQueriesKernel", ShapeOf(call.plan.by_query));
  }

  absl::Status Merge(const SoftmaxAttentionSaved&, TensorView, TensorView,
                     Stream&) override {
    return absl::UnimplementedError(
        "SoftmaxAttentionMerge has no CUDA kernel; the backend cpu merges");
  }
};

}  // namespace

std::unique_ptr<SoftmaxAttention> CreateCudaSoftmaxAttention() {
  return std::make_unique<CudaSoftmaxAttention>();
}

}  // namespace longspan::kernels::cuda
