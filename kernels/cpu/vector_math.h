// exp, sigmoid and log(sigmoid) of a vector, to a few units in the last place.
// Included only by *_variant.h (see vector.h).
#pragma once

#include "kernels/cpu/vector.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

// Splits x = n ln2 + r with |r| <= ln2 / 2; the constants of one type.
template <typename T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float kLow = -87.0f, kHigh = 88.0f;
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  static constexpr float kLn2High = 0.693359375f;
  static constexpr float kLn2Low = -2.12194440e-4f;
  static constexpr int kDegree = 7, kMantissaBits = 23, kBias = 127;
};
template <>
struct ExpConstants<double> {
  static constexpr double kLow = -708.0, kHigh = 709.0;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLn2High = 6.93145751953125e-1;
  static constexpr double kLn2Low = 1.42860682030941723212e-6;
  static constexpr int kDegree = 13, kMantissaBits = 52, kBias = 1023;
};

// 1 / k!
constexpr double InverseFactorial(int k) {
  double value = 1.0;
  for (int i = 2; i <= k; ++i) value /= i;
  return value;
}

// The coefficients of e^r as constants of the type, so that none is computed
// at run time.
template <typename T>
struct ExpSeries {
  T terms[ExpConstants<T>::kDegree + 1] = {};
  constexpr ExpSeries() {
    for (int k = 0; k <= ExpConstants<T>::kDegree; ++k) {
      terms[k] = static_cast<T>(InverseFactorial(k));
    }
  }
};

// e^x. Arguments are clamped to where the result is a normal number; NaN stays
// NaN.
template <typename T>
inline Vector<T> Exp(Vector<T> x) {
  using C = ExpConstants<T>;
  using IntVector = typename VectorTypes<T>::IntVector;
  x = x < C::kLow ? Broadcast<T>(C::kLow) : x;
  x = x > C::kHigh ? Broadcast<T>(C::kHigh) : x;
  const Vector<T> shifted =
      x * static_cast<T>(1.44269504088896340736) + C::kRound;
  const Vector<T> n = shifted - C::kRound;
  const Vector<T> r = (x - n * C::kLn2High) - n * C::kLn2Low;
  constexpr ExpSeries<T> kSeries;
  Vector<T> sum = Broadcast<T>(kSeries.terms[C::kDegree]);
#pragma GCC unroll 16
  for (int k = C::kDegree - 1; k >= 0; --k) sum = sum * r + kSeries.terms[k];
  IntVector bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  typename VectorTypes<T>::Int zero_bits;
  const T round = C::kRound;
  std::memcpy(&zero_bits, &round, sizeof(zero_bits));
  bits = (bits - zero_bits + C::kBias) << C::kMantissaBits;
  Vector<T> scale;
  std::memcpy(&scale, &bits, sizeof(scale));
  return sum * scale;
}

template <typename T>
inline Vector<T> Sigmoid(Vector<T> x) {
  return static_cast<T>(1) / (static_cast<T>(1) + Exp<T>(-x));
}

// log(1 + u) for u in [0, 1], by atanh: log z = 2 atanh((z - 1) / (z + 1)),
// with z halved where it is above 1.5 so that the series stays short.
template <typename T>
inline Vector<T> Log1pOfUnit(Vector<T> u) {
  const auto high = u > static_cast<T>(0.5);
  const Vector<T> numerator = high ? u - static_cast<T>(1) : u;
  const Vector<T> denominator =
      high ? u + static_cast<T>(3) : u + static_cast<T>(2);
  const Vector<T> offset =
      high ? Broadcast<T>(static_cast<T>(0.69314718055994530942)) : Vector<T>{};
  const Vector<T> s = numerator / denominator;
  const Vector<T> square = s * s;
  constexpr int kTerms = sizeof(T) == 4 ? 6 : 13;
  Vector<T> series = Vector<T>{};
#pragma GCC unroll 16
  for (int k = kTerms; k >= 0; --k) {
    series = series * square + static_cast<T>(2.0 / (2 * k + 1));
  }
  return offset + s * series;
}

template <typename T>
inline Vector<T> LogSigmoid(Vector<T> x) {
  const Vector<T> negative = x < static_cast<T>(0) ? x : Vector<T>{};
  const Vector<T> minus_abs = x < static_cast<T>(0) ? x : -x;
  return negative - Log1pOfUnit<T>(Exp<T>(minus_abs));
}

template <typename T>
inline Vector<T> SiluDerivative(Vector<T> x) {
  const Vector<T> s = Sigmoid<T>(x);
  return s * (static_cast<T>(1) + x * (static_cast<T>(1) - s));
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
