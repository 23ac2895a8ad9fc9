// The CUDA backend has none of the gates of kernels/api/token_gates.h yet and
// says so by name; validation and planning refuse such models before a job
// gets here.
#include <memory>
#include <string>

#include "kernels/api/token_gates.h"
#include "kernels/cuda/cuda_ops.h"

namespace longspan::kernels::cuda {
namespace {

absl::Status NoGate(const std::string& op) {
  return absl::UnimplementedError("the backend cuda has no " + op +
                                  "; the backend cpu has it");
}

class NoTokenGates : public TokenGates {
 public:
  absl::Status Sigmoid(ConstTensorView, double, TensorView, Stream&) override {
    return NoGate("Sigmoid");
  }
  absl::Status SigmoidBackward(ConstTensorView, double, ConstTensorView,
                               TensorView, Stream&) override {
    return NoGate("Sigmoid");
  }
  absl::Status SoftplusGate(const SoftplusGateInputs&, TensorView,
                            Stream&) override {
    return NoGate("SoftplusGate");
  }
  absl::Status SoftplusGateBackward(const SoftplusGateInputs&, ConstTensorView,
                                    const SoftplusGateGradients&,
                                    Stream&) override {
    return NoGate("SoftplusGate");
  }
  absl::Status ForgetGate(ConstTensorView, TensorView, TensorView,
                          Stream&) override {
    return NoGate("ForgetGate");
  }
  absl::Status ForgetGateBackward(ConstTensorView, ConstTensorView,
                                  ConstTensorView, TensorView,
                                  Stream&) override {
    return NoGate("ForgetGate");
  }
  absl::Status BoundedForgetGate(const BoundedForgetGateInputs&, TensorView,
                                 TensorView, Stream&) override {
    return NoGate("BoundedForgetGate");
  }
  absl::Status BoundedForgetGateBackward(const BoundedForgetGateInputs&,
                                         ConstTensorView, ConstTensorView,
                                         const BoundedForgetGateGradients&,
                                         Stream&) override {
    return NoGate("BoundedForgetGate");
  }
  absl::Status SigmoidProduct(const SigmoidProductInputs&, TensorView,
                              Stream&) override {
    return NoGate("SigmoidProduct");
  }
  absl::Status SigmoidProductBackward(const SigmoidProductInputs&,
                                      ConstTensorView,
                                      const SigmoidProductGradients&,
                                      Stream&) override {
    return NoGate("SigmoidProduct");
  }
  absl::Status StepProduct(const StepProductInputs&, TensorView,
                           Stream&) override {
    return NoGate("StepProduct");
  }
  absl::Status StepProductBackward(const StepProductInputs&, ConstTensorView,
                                   const StepProductGradients&,
                                   Stream&) override {
    return NoGate("StepProduct");
  }
  absl::Status AddSkip(ConstTensorView, ConstTensorView, TensorView,
                       Stream&) override {
    return NoGate("AddSkip");
  }
  absl::Status AddSkipBackward(ConstTensorView, ConstTensorView,
                               ConstTensorView, TensorView, TensorView,
                               Stream&) override {
    return NoGate("AddSkip");
  }
};

}  // namespace

std::unique_ptr<TokenGates> CreateCudaTokenGates() {
  return std::make_unique<NoTokenGates>();
}

}  // namespace longspan::kernels::cuda
