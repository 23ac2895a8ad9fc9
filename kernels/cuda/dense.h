// The dense family on CUDA: matrix products by Gemm, embedding by kernels of
// its own (embedding.cu).
#pragma once

#include "kernels/api/dense.h"
#include "kernels/cuda/gemm.h"

namespace longspan::kernels::cuda {

class CudaDense : public Dense {
 public:
  explicit CudaDense(Gemm& gemm) : gemm_(gemm) {}

  absl::Status MatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                      const MatMulOptions& options, Stream& stream) override;
  absl::Status Embed(ConstTensorView ids, ConstTensorView table, TensorView out,
                     Stream& stream) override;
  absl::Status EmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                             TensorView d_table, Stream& stream) override;

 private:
  Gemm& gemm_;
};

}  // namespace longspan::kernels::cuda
