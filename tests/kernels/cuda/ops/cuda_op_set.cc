#include "tests/kernels/cuda/ops/cuda_op_set.h"

#include "common/base/check.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm.h"

namespace longspan::kernels {

OpSet EmulatedCudaOps() {
  static Backend* const backend = [] {
    auto created = cuda::CreateCudaBackend(0);
    LONGSPAN_CHECK(created.ok()) << created.status().ToString();
    return created->release();
  }();
  static cuda::Gemm* const gemm = cuda::CreateGemm().release();
  auto stream = backend->CreateStream(1);
  LONGSPAN_CHECK(stream.ok()) << stream.status().ToString();
  return {BackendKind::kCuda,
          cuda::CreateCudaDense(*gemm),
          cuda::CreateCudaCrossEntropy(*gemm),
          cuda::CreateCudaElementwise(),
          cuda::CreateCudaShortConvolution(),
          cuda::CreateCudaOptimizer(),
          *std::move(stream),
          cuda::CreateCudaSampling()};
}

}  // namespace longspan::kernels
