#include <cstdint>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/bfloat16.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/gemm.h"
#include "tests/support/cuda_emulator/emulated_memory.h"
#include "tests/support/cuda_emulator/emulated_work.h"

namespace longspan::kernels::cuda {
namespace {

// Element (row, column) of op(view).
struct Operand {
  ConstTensorView view;
  bool transpose;

  float At(int64_t row, int64_t column) const {
    const int64_t i = transpose ? column : row;
    const int64_t j = transpose ? row : column;
    const int64_t offset = i * view.stride(0) + j;
    return view.dtype() == DType::kBF16
               ? ToFloat(view.data_as<BFloat16>()[offset])
               : view.data_as<float>()[offset];
  }
};

void Store(TensorView c, int64_t row, int64_t column, float sum,
           bool accumulate) {
  const int64_t offset = row * c.stride(0) + column;
  const Operand before{c, false};
  if (accumulate) sum += before.At(row, column);
  if (c.dtype() == DType::kBF16) {
    c.data_as<BFloat16>()[offset] = ToBFloat16(sum);
  } else {
    c.data_as<float>()[offset] = sum;
  }
}

int Multiply(const Operand& a, const Operand& b, TensorView c, int64_t depth,
             bool accumulate) {
  emulated::DeviceAccess access;
  for (int64_t m = 0; m < c.size(0); ++m) {
    for (int64_t n = 0; n < c.size(1); ++n) {
      float sum = 0.0f;
      for (int64_t k = 0; k < depth; ++k) sum += a.At(m, k) * b.At(k, n);
      Store(c, m, n, sum, accumulate);
    }
  }
  return kSuccess;
}

class EmulatedGemm : public Gemm {
 public:
  absl::Status Run(ConstTensorView a, ConstTensorView b, TensorView c,
                   const MatMulOptions& options, Stream& stream) override {
    RETURN_IF_ERROR(CheckGemm(a, b, c, options));
    const int64_t depth = a.size(options.transpose_a ? 0 : 1);
    const Operand left{a, options.transpose_a};
    const Operand right{b, options.transpose_b};
    return StatusOfError(
        emulated::SubmitWork(CudaStream::Of(stream).native_handle(),
                             [=, accumulate = options.accumulate] {
                               return Multiply(left, right, c, depth,
                                               accumulate);
                             }),
        "a product");
  }
};

}  // namespace

std::unique_ptr<Gemm> CreateGemm() { return std::make_unique<EmulatedGemm>(); }

}  // namespace longspan::kernels::cuda
