#include "tests/kernels/cuda/softmax_attention/emulated_softmax_attention.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/softmax_attention_call.h"
#include "kernels/cuda/softmax_attention_launch.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

absl::Status Launched(int code) {
  if (code == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("code ", code, ": ", emulated::TakeLaunchFailures()));
}

class EmulatedSoftmaxAttention : public SoftmaxAttention {
 public:
  explicit EmulatedSoftmaxAttention(int splits) : splits_(splits) {}

  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView workspace, Stream&) override {
    const SoftmaxAttentionInputs on_device = OnDevice(inputs);
    ASSIGN_OR_RETURN(const SoftmaxForwardCall call,
                     splits_ == 0
                         ? PrepareSoftmaxForward(on_device, o, lse, workspace)
                         : PrepareSoftmaxForwardSplit(on_device, splits_, o,
                                                      lse, workspace));
    return Launched(LaunchSoftmaxForward(call.plan, call.params, nullptr));
  }

  absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                        const SoftmaxAttentionSaved& saved, ConstTensorView d_o,
                        const SoftmaxAttentionGradients& gradients,
                        TensorView workspace, Stream&) override {
    ASSIGN_OR_RETURN(const SoftmaxBackwardCall call,
                     PrepareSoftmaxBackward(OnDevice(inputs), saved, d_o,
                                            gradients, workspace));
    RETURN_IF_ERROR(
        Launched(LaunchSoftmaxBackwardRows(call.plan, call.params, nullptr)));
    RETURN_IF_ERROR(
        Launched(LaunchSoftmaxBackwardKeys(call.plan, call.params, nullptr)));
    return Launched(
        LaunchSoftmaxBackwardQueries(call.plan, call.params, nullptr));
  }

  absl::Status Merge(const SoftmaxAttentionSaved&, TensorView, TensorView,
                     Stream&) override {
    return absl::UnimplementedError("SoftmaxAttentionMerge has no CUDA kernel");
  }

 private:
  static SoftmaxAttentionInputs OnDevice(SoftmaxAttentionInputs inputs) {
    inputs.documents.device_starts = inputs.documents.starts;
    return inputs;
  }

  const int splits_;
};

}  // namespace

std::unique_ptr<SoftmaxAttention> CreateEmulatedSoftmaxAttention(int splits) {
  return std::make_unique<EmulatedSoftmaxAttention>(splits);
}

}  // namespace longspan::kernels::cuda
