// Vectors of the instruction set that the including file is compiled for.
//
// Only *_variant.h headers include this file, and only the three sources
// op_kernels_{baseline,avx2,avx512}.cc include those. Everything lives in a
// namespace of the instruction set, so that no function compiled for AVX-512
// can be linked into code for a smaller processor; for the same reason these
// headers use no function of the standard library that might be emitted out of
// line.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LONGSPAN_VARIANT variant_avx512
#define LONGSPAN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define LONGSPAN_VARIANT variant_avx2
#define LONGSPAN_VECTOR_BYTES 32
#else
#define LONGSPAN_VARIANT variant_baseline
#define LONGSPAN_VECTOR_BYTES 16
#endif

namespace longspan::kernels::LONGSPAN_VARIANT {

template <typename T>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  using Int = int32_t;
  typedef float Vector __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
  typedef int32_t IntVector __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
};
template <>
struct VectorTypes<double> {
  using Int = int64_t;
  typedef double Vector __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
  typedef int64_t IntVector __attribute__((vector_size(LONGSPAN_VECTOR_BYTES)));
};
template <typename T>
using Vector = typename VectorTypes<T>::Vector;

template <typename T>
inline constexpr int64_t kLanes = LONGSPAN_VECTOR_BYTES / sizeof(T);

template <typename T>
inline Vector<T> Load(const T* from) {
  Vector<T> vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <typename T>
inline void Store(T* to, Vector<T> vector) {
  std::memcpy(to, &vector, sizeof(vector));
}

// Masked access to the first `count` < kLanes lanes.
#if defined(__AVX512F__)
inline Vector<float> LoadMasked(const float* from, int64_t count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  return (Vector<float>)_mm512_maskz_loadu_ps(mask, from);
}
inline Vector<double> LoadMasked(const double* from, int64_t count) {
  const auto mask = static_cast<__mmask8>((1u << count) - 1);
  return (Vector<double>)_mm512_maskz_loadu_pd(mask, from);
}
inline void StoreMasked(float* to, Vector<float> vector, int64_t count) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  _mm512_mask_storeu_ps(to, mask, (__m512)vector);
}
inline void StoreMasked(double* to, Vector<double> vector, int64_t count) {
  const auto mask = static_cast<__mmask8>((1u << count) - 1);
  _mm512_mask_storeu_pd(to, mask, (__m512d)vector);
}
#else
template <typename T>
inline Vector<T> LoadMasked(const T* from, int64_t count) {
  Vector<T> vector = {};
  for (int64_t lane = 0; lane < count; ++lane) vector[lane] = from[lane];
  return vector;
}
template <typename T>
inline void StoreMasked(T* to, Vector<T> vector, int64_t count) {
  for (int64_t lane = 0; lane < count; ++lane) to[lane] = vector[lane];
}
#endif

// The first `count` lanes; the others are 0 and are not read from memory.
template <typename T>
inline Vector<T> Load(const T* from, int64_t count) {
  return count >= kLanes<T> ? Load(from) : LoadMasked(from, count);
}

template <typename T>
inline void Store(T* to, Vector<T> vector, int64_t count) {
  if (count >= kLanes<T>) {
    Store(to, vector);
  } else {
    StoreMasked(to, vector, count);
  }
}

template <typename T>
inline Vector<T> Broadcast(T value) {
  return Vector<T>{} + value;
}

// Lane i receives lane i ^ kDistance.
template <typename T, size_t kDistance, size_t... kLane>
inline Vector<T> SwapLanes(Vector<T> vector, std::index_sequence<kLane...>) {
  return __builtin_shufflevector(vector, vector, (kLane ^ kDistance)...);
}

template <typename T, size_t kDistance>
inline Vector<T> AddSwapped(Vector<T> vector) {
  if constexpr (kDistance < kLanes<T>) {
    vector +=
        SwapLanes<T, kDistance>(vector, std::make_index_sequence<kLanes<T>>());
  }
  return vector;
}

// Sum of all lanes in a fixed tree.
template <typename T>
inline T SumLanes(Vector<T> vector) {
  vector = AddSwapped<T, 8>(vector);
  vector = AddSwapped<T, 4>(vector);
  vector = AddSwapped<T, 2>(vector);
  return AddSwapped<T, 1>(vector)[0];
}

template <typename T>
inline T MaxLane(Vector<T> vector) {
  T top = vector[0];
  for (int64_t i = 1; i < kLanes<T>; ++i) {
    top = vector[i] > top ? vector[i] : top;
  }
  return top;
}

// body(i, count): `count` lanes from element i on; count < kLanes only once, at
// the end.
template <typename T, typename Body>
inline void ForLanes(int64_t size, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes<T> <= size; i += kLanes<T>) body(i, kLanes<T>);
  if (i < size) body(i, size - i);
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
