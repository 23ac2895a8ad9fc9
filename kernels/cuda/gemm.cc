#include "kernels/cuda/gemm.h"

#include <string>

namespace longspan::kernels::cuda {

absl::Status CheckGemm(ConstTensorView a, ConstTensorView b, ConstTensorView c,
                       const MatMulOptions& options) {
  const bool operands_agree = a.dtype() == b.dtype();
  const bool narrow = a.dtype() == DType::kBF16 &&
                      (c.dtype() == DType::kBF16 || c.dtype() == DType::kF32);
  const bool full = a.dtype() == DType::kF32 && c.dtype() == DType::kF32;
  if (operands_agree && (narrow || full)) {
    const bool empty_sums = a.size(options.transpose_a ? 0 : 1) == 0;
    if (!empty_sums || c.element_count() == 0) return absl::OkStatus();
    return absl::InvalidArgumentError("cuda: MatMul of " + a.DebugString() +
                                      " and " + b.DebugString() +
                                      ": the inner size is 0, needs at least "
                                      "1; clear the result instead");
  }
  return absl::UnimplementedError(
      std::string("cuda: MatMul of ") + DTypeName(a.dtype()) + " and " +
      DTypeName(b.dtype()) + " to " + DTypeName(c.dtype()) +
      "; it does bf16 x bf16 to bf16 or f32, and f32 x f32 to f32");
}

}  // namespace longspan::kernels::cuda
