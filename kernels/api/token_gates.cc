#include "kernels/api/token_gates.h"

#include "absl/strings/str_cat.h"
#include "kernels/api/backend.h"

namespace longspan::kernels {
namespace {

absl::Status Refuse(const char* op) {
  return absl::UnimplementedError(
      absl::StrCat(op,
                   " is an op that this backend does not have; the "
                   "backend cpu has it"));
}

}  // namespace

absl::Status TokenGates::Sigmoid(ConstTensorView, double, TensorView, Stream&) {
  return Refuse("Sigmoid");
}

absl::Status TokenGates::SigmoidBackward(ConstTensorView, double,
                                         ConstTensorView, TensorView, Stream&) {
  return Refuse("SigmoidBackward");
}

absl::Status TokenGates::SoftplusGate(const SoftplusGateInputs&, TensorView,
                                      Stream&) {
  return Refuse("SoftplusGate");
}

absl::Status TokenGates::SoftplusGateBackward(const SoftplusGateInputs&,
                                              ConstTensorView,
                                              const SoftplusGateGradients&,
                                              Stream&) {
  return Refuse("SoftplusGateBackward");
}

absl::Status TokenGates::ForgetGate(ConstTensorView, TensorView, TensorView,
                                    Stream&) {
  return Refuse("ForgetGate");
}

absl::Status TokenGates::ForgetGateBackward(ConstTensorView, ConstTensorView,
                                            ConstTensorView, TensorView,
                                            Stream&) {
  return Refuse("ForgetGateBackward");
}

absl::Status TokenGates::SigmoidProduct(const SigmoidProductInputs&, TensorView,
                                        Stream&) {
  return Refuse("SigmoidProduct");
}

absl::Status TokenGates::SigmoidProductBackward(const SigmoidProductInputs&,
                                                ConstTensorView,
                                                const SigmoidProductGradients&,
                                                Stream&) {
  return Refuse("SigmoidProductBackward");
}

absl::Status TokenGates::StepProduct(const StepProductInputs&, TensorView,
                                     Stream&) {
  return Refuse("StepProduct");
}

absl::Status TokenGates::StepProductBackward(const StepProductInputs&,
                                             ConstTensorView,
                                             const StepProductGradients&,
                                             Stream&) {
  return Refuse("StepProductBackward");
}

absl::Status TokenGates::AddSkip(ConstTensorView, ConstTensorView, TensorView,
                                 Stream&) {
  return Refuse("AddSkip");
}

absl::Status TokenGates::AddSkipBackward(ConstTensorView, ConstTensorView,
                                         ConstTensorView, TensorView,
                                         TensorView, Stream&) {
  return Refuse("AddSkipBackward");
}

TokenGates& Backend::token_gates() {
  static TokenGates none;
  return none;
}

}  // namespace longspan::kernels
