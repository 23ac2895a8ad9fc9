#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/dense.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/optimizer.h"
#include "kernels/cuda/short_convolution.h"

namespace longspan::kernels::cuda {

std::unique_ptr<Dense> CreateCudaDense(Gemm& gemm) {
  return std::make_unique<CudaDense>(gemm);
}

std::unique_ptr<CrossEntropy> CreateCudaCrossEntropy(Gemm& gemm) {
  return std::make_unique<CudaCrossEntropy>(gemm);
}

std::unique_ptr<Elementwise> CreateCudaElementwise() {
  return std::make_unique<CudaElementwise>();
}

std::unique_ptr<ShortConvolution> CreateCudaShortConvolution() {
  return std::make_unique<CudaShortConvolution>();
}

std::unique_ptr<Optimizer> CreateCudaOptimizer() {
  return std::make_unique<CudaOptimizer>();
}

}  // namespace longspan::kernels::cuda
