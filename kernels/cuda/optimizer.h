// The optimiser ops on CUDA, f32. A call's tensors travel in the parameters of
// a few launches, so nothing is copied to the device and a captured step can
// be replayed.
#pragma once

#include "kernels/api/optimizer.h"

namespace longspan::kernels::cuda {

class CudaOptimizer : public Optimizer {
 public:
  absl::Status AdamW(absl::Span<const AdamWTensor> tensors,
                     const AdamWScalars& scalars, const AdamWOptions& options,
                     Stream& stream) override;
  absl::Status SumOfSquares(absl::Span<const ConstTensorView> tensors,
                            TensorView out, TensorView workspace,
                            Stream& stream) override;
  absl::Status ClipFactor(ConstTensorView sum_of_squares, double max_norm,
                          TensorView factor, Stream& stream) override;
};

}  // namespace longspan::kernels::cuda
