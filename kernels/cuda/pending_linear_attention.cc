#include "absl/status/status.h"
#include "kernels/cuda/cuda_ops.h"

namespace longspan::kernels::cuda {
namespace {

absl::Status Refuse() {
  return absl::UnimplementedError("cuda: linear attention is not built yet");
}

class PendingLinearAttention : public LinearAttention {
 public:
  absl::Status Summarise(const LinearAttentionInputs&,
                         const LinearAttentionSummary&, TensorView,
                         Stream&) override {
    return Refuse();
  }
  absl::Status Outputs(const LinearAttentionInputs&, ConstTensorView,
                       ChunkTerms, const LinearAttentionOutputs&, TensorView,
                       Stream&) override {
    return Refuse();
  }
  absl::Status SummariseBackward(const LinearAttentionInputs&, ConstTensorView,
                                 TensorView, TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status Gradients(const LinearAttentionInputs&, ConstTensorView,
                         const LinearAttentionOutputGradients&, ChunkTerms,
                         const LinearAttentionGradients&, TensorView,
                         Stream&) override {
    return Refuse();
  }
  absl::Status FoldSummaries(ConstTensorView, ConstTensorView, ConstTensorView,
                             bool, TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status Decode(const LinearAttentionInputs&, ConstTensorView, TensorView,
                      TensorView, Stream&) override {
    return Refuse();
  }
};

}  // namespace

std::unique_ptr<LinearAttention> CreateCudaLinearAttention() {
  return std::make_unique<PendingLinearAttention>();
}

}  // namespace longspan::kernels::cuda
