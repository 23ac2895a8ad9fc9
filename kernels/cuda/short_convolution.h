// The short convolution on CUDA: f32 or bf16 activations, f32 weights.
#pragma once

#include "kernels/api/elementwise.h"

namespace longspan::kernels::cuda {

class CudaShortConvolution : public ShortConvolution {
 public:
  absl::Status Forward(const ShortConvolutionInputs& inputs, TensorView y,
                       Stream& stream) override;
  absl::Status Backward(const ShortConvolutionInputs& inputs,
                        ConstTensorView d_y,
                        const ShortConvolutionGradients& gradients,
                        TensorView workspace, Stream& stream) override;
};

}  // namespace longspan::kernels::cuda
