#pragma once

#include <cstdint>

// The example of docs/kernels.md, "How a CUDA kernel is written here": a
// matrix product small enough to read, with every part that a real kernel has.

namespace longspan::kernels::cuda {

struct Bf16;

// out (m, n) f32 = a (m, k) b (k, n), all row-major, in device memory. k and n
// are multiples of 8, a and b are aligned to 16 bytes.
struct SampleMatmulParams {
  const Bf16* a = nullptr;
  const Bf16* b = nullptr;
  float* out = nullptr;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// 0 or a CUDA error code.
int SampleMatmul(const SampleMatmulParams& params, void* native_stream);

}  // namespace longspan::kernels::cuda
