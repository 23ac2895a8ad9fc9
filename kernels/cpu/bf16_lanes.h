// 16 f32 numbers that are read from and rounded to bf16: AVX512-BF16 where the
// including file is compiled for it, else plain loops. Rounding is to nearest,
// ties to even.
#pragma once

#include "kernels/api/bfloat16.h"
#include "kernels/cpu/simd.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace longspan::kernels::LONGSPAN_ISA {

inline constexpr int64_t kWide = 16;

#if defined(__AVX512BF16__)

struct Lanes {
  __m512 v;
};

LONGSPAN_INLINE Lanes SplatLanes(float x) { return {_mm512_set1_ps(x)}; }
LONGSPAN_INLINE Lanes LoadLanes(const float* from) {
  return {_mm512_loadu_ps(from)};
}
LONGSPAN_INLINE void StoreLanes(float* to, const Lanes& x) {
  _mm512_storeu_ps(to, x.v);
}
LONGSPAN_INLINE Lanes Multiply(const Lanes& a, const Lanes& b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
// a b + c
LONGSPAN_INLINE Lanes MultiplyAdd(const Lanes& a, const Lanes& b,
                                  const Lanes& c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}

LONGSPAN_INLINE __mmask32 FirstOf(int64_t count) {
  if (count >= 32) return ~__mmask32{0};
  return count <= 0 ? __mmask32{0} : (__mmask32{1} << count) - 1;
}

// The first `count` numbers; the others are zero and are not read.
LONGSPAN_INLINE Lanes LoadBf16(const BFloat16* from, int64_t count) {
  const __m256i bits =
      _mm256_maskz_loadu_epi16(static_cast<__mmask16>(FirstOf(count)), from);
  return {
      _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
// The first `count` of 32 numbers.
LONGSPAN_INLINE void StoreBf16(const Lanes& low, const Lanes& high,
                               BFloat16* to, int64_t count) {
  const auto bits = (__m512i)_mm512_cvtne2ps_pbh(high.v, low.v);
  _mm512_mask_storeu_epi16(to, FirstOf(count), bits);
}
// Pairs of a lane of `even` and one of `odd`.
LONGSPAN_INLINE void StorePairs(const Lanes& even, const Lanes& odd,
                                BFloat16* to) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11,
                                         26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const auto bits = (__m512i)_mm512_cvtne2ps_pbh(odd.v, even.v);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, bits));
}

#else

struct Lanes {
  float v[kWide];
};

inline Lanes SplatLanes(float x) {
  Lanes result;
  for (float& lane : result.v) lane = x;
  return result;
}
inline Lanes LoadLanes(const float* from) {
  Lanes result;
  for (int64_t i = 0; i < kWide; ++i) result.v[i] = from[i];
  return result;
}
inline void StoreLanes(float* to, const Lanes& x) {
  for (int64_t i = 0; i < kWide; ++i) to[i] = x.v[i];
}
inline Lanes Multiply(const Lanes& a, const Lanes& b) {
  Lanes result;
  for (int64_t i = 0; i < kWide; ++i) result.v[i] = a.v[i] * b.v[i];
  return result;
}
inline Lanes MultiplyAdd(const Lanes& a, const Lanes& b, const Lanes& c) {
  Lanes result;
  for (int64_t i = 0; i < kWide; ++i) result.v[i] = a.v[i] * b.v[i] + c.v[i];
  return result;
}
inline Lanes LoadBf16(const BFloat16* from, int64_t count) {
  Lanes result = {};
  for (int64_t i = 0; i < kWide && i < count; ++i) {
    result.v[i] = ToFloat(from[i]);
  }
  return result;
}
inline void StoreBf16(const Lanes& low, const Lanes& high, BFloat16* to,
                      int64_t count) {
  for (int64_t i = 0; i < 2 * kWide && i < count; ++i) {
    to[i] = ToBFloat16(i < kWide ? low.v[i] : high.v[i - kWide]);
  }
}
inline void StorePairs(const Lanes& even, const Lanes& odd, BFloat16* to) {
  for (int64_t i = 0; i < kWide; ++i) {
    to[2 * i] = ToBFloat16(even.v[i]);
    to[2 * i + 1] = ToBFloat16(odd.v[i]);
  }
}

#endif

inline float SumOf(const Lanes& x) {
  float lanes[kWide];
  StoreLanes(lanes, x);
  float sum = 0.0f;
  for (float lane : lanes) sum += lane;
  return sum;
}

}  // namespace longspan::kernels::LONGSPAN_ISA
