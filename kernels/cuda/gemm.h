// Matrix products of the CUDA backend: cuBLASLt on a GPU (cublaslt_gemm.cc),
// plain loops in the emulator. For every other op of the backend that needs
// one, such as Dense and CrossEntropy.
//
// cuBLASLt is no part of this build: it is opened on first use, from the
// places of common/base/shared_library.h (variable LONGSPAN_CUBLASLT_LIBRARY,
// name libcublasLt.so.13), so that everything else works without it.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "kernels/api/dense.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels::cuda {

// Thread-safe.
class Gemm {
 public:
  virtual ~Gemm() = default;

  // c [M, N] = op(a) op(b), or c += with options.accumulate; all rank 2 with
  // contiguous rows that may be strided, sizes as CheckMatMul has found them
  // good. Types: bf16 x bf16 -> bf16 or f32, f32 x f32 -> f32; sums are f32.
  // The same shapes, strides and alignments give the same bits on the same
  // device and library. kUnavailable without the library, kUnimplemented for
  // other types or a shape that it does not do.
  virtual absl::Status Run(ConstTensorView a, ConstTensorView b, TensorView c,
                           const MatMulOptions& options, Stream& stream) = 0;
};

std::unique_ptr<Gemm> CreateGemm();

// kUnimplemented, in a sentence, unless the types are of the list above;
// kInvalidArgument for sums of no terms.
absl::Status CheckGemm(ConstTensorView a, ConstTensorView b, ConstTensorView c,
                       const MatMulOptions& options);

}  // namespace longspan::kernels::cuda
