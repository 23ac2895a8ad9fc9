// The element-wise family on CUDA; each .cu file holds the kernels of a few of
// its ops. Activations are f32 or bf16, and f64 is refused.
#pragma once

#include "kernels/api/elementwise.h"

namespace longspan::kernels::cuda {

class CudaElementwise : public Elementwise {
 public:
  // rms_norm.cu
  absl::Status RmsNorm(const RmsNormInputs& inputs, TensorView y,
                       TensorView rstd, Stream& stream) override;
  absl::Status RmsNormBackward(const RmsNormInputs& inputs,
                               ConstTensorView rstd, ConstTensorView d_y,
                               const RmsNormGradients& gradients,
                               TensorView workspace, Stream& stream) override;
  // rotary.cu
  absl::Status Rotary(ConstTensorView x, ConstTensorView positions, double base,
                      bool inverse, TensorView y, Stream& stream) override;
  // activations.cu
  absl::Status Silu(ConstTensorView x, TensorView y, Stream& stream) override;
  absl::Status SiluBackward(ConstTensorView x, ConstTensorView d_y,
                            TensorView d_x, Stream& stream) override;
  absl::Status SwiGlu(ConstTensorView gate, ConstTensorView up, TensorView y,
                      Stream& stream) override;
  absl::Status SwiGluBackward(ConstTensorView gate, ConstTensorView up,
                              ConstTensorView d_y, TensorView d_gate,
                              TensorView d_up, Stream& stream) override;
  absl::Status Add(ConstTensorView a, ConstTensorView b, TensorView out,
                   Stream& stream) override;
  // log_sigmoid_gate.cu
  absl::Status LogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                              double normalizer, TensorView y,
                              Stream& stream) override;
  absl::Status LogSigmoidGateBackward(ConstTensorView x, ConstTensorView bias,
                                      double normalizer, ConstTensorView d_y,
                                      TensorView d_x, TensorView d_bias,
                                      Stream& stream) override;
  // copy.cu
  absl::Status SetZero(TensorView x, Stream& stream) override;
  absl::Status Copy(ConstTensorView from, TensorView to,
                    Stream& stream) override;
  absl::Status Scale(ConstTensorView x, ConstTensorView factor, TensorView y,
                     Stream& stream) override;
};

}  // namespace longspan::kernels::cuda
