#include "absl/status/status.h"
#include "kernels/cuda/cuda_ops.h"

namespace longspan::kernels::cuda {
namespace {

absl::Status Refuse() {
  return absl::UnimplementedError("cuda: elementwise is not built yet");
}

class PendingElementwise : public Elementwise {
 public:
  absl::Status RmsNorm(const RmsNormInputs&, TensorView, TensorView,
                       Stream&) override {
    return Refuse();
  }
  absl::Status RmsNormBackward(const RmsNormInputs&, ConstTensorView,
                               ConstTensorView, const RmsNormGradients&,
                               TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status Rotary(ConstTensorView, ConstTensorView, double, bool,
                      TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status Silu(ConstTensorView, TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status SiluBackward(ConstTensorView, ConstTensorView, TensorView,
                            Stream&) override {
    return Refuse();
  }
  absl::Status SwiGlu(ConstTensorView, ConstTensorView, TensorView,
                      Stream&) override {
    return Refuse();
  }
  absl::Status SwiGluBackward(ConstTensorView, ConstTensorView, ConstTensorView,
                              TensorView, TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status LogSigmoidGate(ConstTensorView, ConstTensorView, double,
                              TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status LogSigmoidGateBackward(ConstTensorView, ConstTensorView, double,
                                      ConstTensorView, TensorView, TensorView,
                                      Stream&) override {
    return Refuse();
  }
  absl::Status Add(ConstTensorView, ConstTensorView, TensorView,
                   Stream&) override {
    return Refuse();
  }
  absl::Status SetZero(TensorView, Stream&) override { return Refuse(); }
  absl::Status Copy(ConstTensorView, TensorView, Stream&) override {
    return Refuse();
  }
  absl::Status Scale(ConstTensorView, ConstTensorView, TensorView,
                     Stream&) override {
    return Refuse();
  }
};

}  // namespace

std::unique_ptr<Elementwise> CreateCudaElementwise() {
  return std::make_unique<PendingElementwise>();
}

}  // namespace longspan::kernels::cuda
