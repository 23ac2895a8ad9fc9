// Optimiser loops over contiguous runs (see op_kernels.h). Plain loops that the
// compiler vectorises.
#pragma once

#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/vector.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

inline float SquareRoot(float x) { return __builtin_sqrtf(x); }
inline double SquareRoot(double x) { return __builtin_sqrt(x); }

template <typename T>
void AdamW(int64_t n, const AdamWFactors<T>& factors,
           const T* __restrict gradient, T* __restrict parameter,
           T* __restrict first_moment, T* __restrict second_moment) {
  const AdamWFactors<T> f = factors;
  for (int64_t i = 0; i < n; ++i) {
    const T g = f.clip * gradient[i];
    const T m = f.beta1 * first_moment[i] + f.one_minus_beta1 * g;
    const T v = f.beta2 * second_moment[i] + f.one_minus_beta2 * g * g;
    const T p = parameter[i];
    const T denominator = SquareRoot(v * f.inverse_correction2) + f.epsilon;
    first_moment[i] = m;
    second_moment[i] = v;
    parameter[i] =
        p - f.learning_rate *
                (m * f.inverse_correction1 / denominator + f.decay * p);
  }
}

// Sixteen sums in double whatever the vector length.
template <typename T>
double SumOfSquares(int64_t n, const T* x) {
  constexpr int64_t kSums = 16;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) {
      const double value = x[i + j];
      sums[j] += value * value;
    }
  }
  for (; i < n; ++i) sums[i % kSums] += static_cast<double>(x[i]) * x[i];
  double total = 0.0;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
