// Factories of the op families of the CUDA backend, one .cu file or more each;
// the backend puts them together (cuda_backend.cc).
//
// An op's host code checks its operands, plans the launch (kernels/cost,
// pure), begins with CudaStream::Of(stream) and launches:
//
//   CudaStream& cuda_stream = CudaStream::Of(stream);
//   return LaunchStatus(LaunchKernel(OutputsKernel, shape,
//                                    cuda_stream.native_handle(), params),
//                       "OutputsKernel", shape);
#pragma once

#include <memory>

#include "kernels/api/dense.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/feature_map.h"
#include "kernels/api/linear_attention.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/sampling.h"
#include "kernels/api/softmax_attention.h"
#include "kernels/api/token_gates.h"
#include "kernels/cuda/gemm.h"

namespace longspan::kernels::cuda {

std::unique_ptr<LinearAttention> CreateCudaLinearAttention();
std::unique_ptr<SoftmaxAttention> CreateCudaSoftmaxAttention();
// `gemm` must outlive what these two return.
std::unique_ptr<Dense> CreateCudaDense(Gemm& gemm);
std::unique_ptr<CrossEntropy> CreateCudaCrossEntropy(Gemm& gemm);
std::unique_ptr<Elementwise> CreateCudaElementwise();
std::unique_ptr<ShortConvolution> CreateCudaShortConvolution();
std::unique_ptr<Optimizer> CreateCudaOptimizer();
std::unique_ptr<FeatureMaps> CreateCudaFeatureMaps();
std::unique_ptr<TokenGates> CreateCudaTokenGates();
std::unique_ptr<Sampling> CreateCudaSampling();

}  // namespace longspan::kernels::cuda
