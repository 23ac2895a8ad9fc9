#pragma once

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include <cmath>
#endif

// One-instruction functions of f32; denormal operands and results are zero.
//
//   Exp2(x)   ex2.approx.ftz, relative error 2^-22; Exp2(-infinity) is 0
//   Log2(x)   lg2.approx.ftz, absolute error 2^-22 near 1
//   Rsqrt(x)  rsqrt.approx.ftz, relative error 2^-22

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE float Exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
LONGSPAN_DEVICE float Log2(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
LONGSPAN_DEVICE float Rsqrt(float x) {
  float result;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

#else

namespace emulated {

inline float FlushDenormal(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

}  // namespace emulated

LONGSPAN_DEVICE float Exp2(float x) {
  return emulated::FlushDenormal(std::exp2(emulated::FlushDenormal(x)));
}
LONGSPAN_DEVICE float Log2(float x) {
  return std::log2(emulated::FlushDenormal(x));
}
LONGSPAN_DEVICE float Rsqrt(float x) {
  return 1.0f / std::sqrt(emulated::FlushDenormal(x));
}

#endif

}  // namespace longspan::kernels::cuda
