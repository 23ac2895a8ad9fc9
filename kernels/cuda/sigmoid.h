// The logistic function and its relatives in f32, for device code.
#pragma once

#include "kernels/cuda/device/device.h"

#if !LONGSPAN_CUDA_NATIVE
#include <cmath>
#endif

namespace longspan::kernels::cuda {

inline constexpr float kLog2E = 1.4426950408889634f;

// Two instructions of the special-function unit; relative error below 1e-6.
LONGSPAN_DEVICE float Sigmoid(float x) {
  const float root = Rsqrt(1.0f + Exp2(-kLog2E * x));
  return root * root;
}

LONGSPAN_DEVICE float Silu(float x) { return x * Sigmoid(x); }

LONGSPAN_DEVICE float SiluDerivative(float x) {
  const float s = Sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

LONGSPAN_DEVICE float LogSigmoid(float x) {
  return fminf(x, 0.0f) - log1pf(Exp2(-kLog2E * fabsf(x)));
}

}  // namespace longspan::kernels::cuda
