// The fused cross-entropy head on CUDA: slabs of logits by Gemm, f32, which
// one kernel turns into losses and, in place, into their gradients.
#pragma once

#include "kernels/api/dense.h"
#include "kernels/cuda/gemm.h"

namespace longspan::kernels::cuda {

class CudaCrossEntropy : public CrossEntropy {
 public:
  explicit CudaCrossEntropy(Gemm& gemm) : gemm_(gemm) {}

  absl::Status Forward(const CrossEntropyInputs& inputs,
                       const CrossEntropyOutputs& outputs, TensorView workspace,
                       Stream& stream) override;
  absl::Status ForwardBackward(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients& gradients,
                               TensorView workspace, Stream& stream) override;

 private:
  absl::Status Run(const CrossEntropyInputs& inputs,
                   const CrossEntropyOutputs& outputs,
                   const CrossEntropyGradients* gradients, TensorView workspace,
                   Stream& stream);

  Gemm& gemm_;
};

}  // namespace longspan::kernels::cuda
