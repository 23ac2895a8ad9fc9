// Vectors of the widest kind that this source file is compiled for, by the
// compilers' vector extension: loads, stores, exp, transposition.
//
// Kernel files are compiled once per instruction set with different flags
// (kernels/cpu/CMakeLists.txt). Everything here and in the headers built on it
// lives in a namespace named after the set, so that the variants never share
// an inline function; they include nothing that is not in such a namespace or
// trivial.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)
#define LONGSPAN_ISA amx
#define LONGSPAN_VECTOR_BYTES 64
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
#define LONGSPAN_ISA avx512
#define LONGSPAN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define LONGSPAN_ISA avx2
#define LONGSPAN_VECTOR_BYTES 32
#else
#define LONGSPAN_ISA baseline
#define LONGSPAN_VECTOR_BYTES 16
#endif

#if LONGSPAN_VECTOR_BYTES == 64
#include <immintrin.h>
#endif

#define LONGSPAN_INLINE inline __attribute__((always_inline))

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  typedef float Real __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
  typedef int32_t Integer __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
};
template <>
struct VectorTypes<double> {
  typedef double Real __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
  typedef int64_t Integer __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
};

template <typename T>
using Vec = typename VectorTypes<T>::Real;
template <typename T>
using IntVec = typename VectorTypes<T>::Integer;
template <typename T>
inline constexpr int kLanes = LONGSPAN_VECTOR_BYTES / sizeof(T);

template <typename T>
LONGSPAN_INLINE Vec<T> Splat(T value) {
  return value - Vec<T>{};
}

template <typename T>
LONGSPAN_INLINE Vec<T> Load(const T* from) {
  Vec<T> vector;
  __builtin_memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <typename T>
LONGSPAN_INLINE void Store(T* to, Vec<T> vector) {
  __builtin_memcpy(to, &vector, sizeof(vector));
}

// Stores past the caches where the set can, to a multiple of 64 bytes; other
// threads see it after StreamFence.
#if LONGSPAN_VECTOR_BYTES == 64
LONGSPAN_INLINE void Stream(float* to, Vec<float> vector) {
  _mm512_stream_ps(to, (__m512)vector);
}
LONGSPAN_INLINE void Stream(double* to, Vec<double> vector) {
  _mm512_stream_pd(to, (__m512d)vector);
}
LONGSPAN_INLINE void StreamFence() { _mm_sfence(); }
#else
template <typename T>
LONGSPAN_INLINE void Stream(T* to, Vec<T> vector) {
  Store(to, vector);
}
LONGSPAN_INLINE void StreamFence() {}
#endif

// The first `count` (1 .. lanes) elements; the others are zero.
template <typename T>
LONGSPAN_INLINE Vec<T> LoadFirst(const T* from, int64_t count) {
  if (count >= kLanes<T>) return Load(from);
  Vec<T> vector = {};
  for (int64_t i = 0; i < count; ++i) vector[i] = from[i];
  return vector;
}

template <typename T>
LONGSPAN_INLINE void StoreFirst(T* to, Vec<T> vector, int64_t count) {
  if (count >= kLanes<T>) return Store(to, vector);
  for (int64_t i = 0; i < count; ++i) to[i] = vector[i];
}

template <typename T>
LONGSPAN_INLINE T SumLanes(Vec<T> vector) {
  T sum = 0;
  for (int i = 0; i < kLanes<T>; ++i) sum += vector[i];
  return sum;
}

// exp(x) = 2^n exp(r) with |r| <= log(2) / 2 and a Taylor polynomial in r.
template <typename T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  static constexpr float kLowest = -87.3f;
  static constexpr float kHighest = 88.0f;
  static constexpr float kLn2High = 0.693359375f;
  static constexpr float kLn2Low = -2.12194440e-4f;
  static constexpr int kMantissaBits = 23;
  static constexpr int kBias = 127;
  static constexpr int kDegree = 7;
};
template <>
struct ExpConstants<double> {
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLowest = -708.0;
  static constexpr double kHighest = 709.0;
  static constexpr double kLn2High = 6.93145751953125e-1;
  static constexpr double kLn2Low = 1.42860682030941723212e-6;
  static constexpr int kMantissaBits = 52;
  static constexpr int kBias = 1023;
  static constexpr int kDegree = 13;
};

// Within 2 units in the last place for x <= 0; exactly 0 below kLowest.
template <typename T>
LONGSPAN_INLINE Vec<T> Exp(Vec<T> x) {
  using C = ExpConstants<T>;
  constexpr T kLog2E = static_cast<T>(1.4426950408889634);
  constexpr double kInverseFactorials[] = {1.0,
                                           1.0,
                                           1.0 / 2,
                                           1.0 / 6,
                                           1.0 / 24,
                                           1.0 / 120,
                                           1.0 / 720,
                                           1.0 / 5040,
                                           1.0 / 40320,
                                           1.0 / 362880,
                                           1.0 / 3628800,
                                           1.0 / 39916800,
                                           1.0 / 479001600,
                                           1.0 / 6227020800.0};
  const Vec<T> lowest = Splat(C::kLowest);
  const Vec<T> highest = Splat(C::kHighest);
  Vec<T> y = x < lowest ? lowest : x;
  y = y > highest ? highest : y;
  const Vec<T> shifted = y * kLog2E + C::kRound;
  const Vec<T> n = shifted - C::kRound;
  const Vec<T> r = (y - n * C::kLn2High) - n * C::kLn2Low;
  Vec<T> sum = Splat(static_cast<T>(kInverseFactorials[C::kDegree]));
#pragma GCC unroll 16
  for (int i = C::kDegree - 1; i >= 0; --i) {
    sum = sum * r + static_cast<T>(kInverseFactorials[i]);
  }
  const IntVec<T> exponent =
      (IntVec<T>)shifted - (IntVec<T>)Splat(C::kRound) + C::kBias;
  const Vec<T> power = (Vec<T>)(exponent << C::kMantissaBits);
  return x < lowest ? Vec<T>{} : sum * power;
}

// Lanes of a butterfly step with distance `step`: the low (or high) half of
// each pair of sub-blocks.
template <typename T, int step, bool high, std::size_t... lane>
LONGSPAN_INLINE Vec<T> Butterfly(Vec<T> a, Vec<T> b,
                                 std::index_sequence<lane...>) {
  constexpr int kN = kLanes<T>;
  constexpr auto index = [](int i) constexpr {
    const bool upper = (i & step) != 0;
    if (high) return upper ? kN + i : i + step;
    return upper ? kN + i - step : i;
  };
  return __builtin_shufflevector(a, b, index(static_cast<int>(lane))...);
}

template <typename T, int step>
LONGSPAN_INLINE void TransposeStep(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (step < kLanes<T>) {
    using Lanes = std::make_index_sequence<kLanes<T>>;
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      if ((i & step) == 0) {
        const Vec<T> a = rows[i];
        const Vec<T> b = rows[i + step];
        rows[i] = Butterfly<T, step, false>(a, b, Lanes{});
        rows[i + step] = Butterfly<T, step, true>(a, b, Lanes{});
      }
    }
    TransposeStep<T, 2 * step>(rows);
  }
}

// Transposes a square block of lanes x lanes elements.
template <typename T>
LONGSPAN_INLINE void Transpose(Vec<T> (&rows)[kLanes<T>]) {
  TransposeStep<T, 1>(rows);
}

}  // namespace longspan::kernels::LONGSPAN_ISA
