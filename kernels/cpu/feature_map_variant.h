// The feature maps over vectors of heads; included once by each of
// feature_map_{baseline,avx2,avx512}.cc.
//
// x[i], y[i], ... are element i of every head of the call.
#pragma once

#include "kernels/cpu/feature_map_kernels.h"
#include "kernels/cpu/simd.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
struct FeatureTile {
  Vec<T> data[kMaxFeatures];

  Vec<T>& operator[](int64_t i) { return data[i]; }
  const Vec<T>& operator[](int64_t i) const { return data[i]; }

  void Read(const T* const* rows, int count, int64_t size) {
    for (int64_t i = 0; i < size; ++i) {
      Vec<T> value = {};
      for (int lane = 0; lane < count; ++lane) value[lane] = rows[lane][i];
      data[i] = value;
    }
  }
  void Write(T* const* rows, int count, int64_t size) const {
    for (int lane = 0; lane < count; ++lane) {
      for (int64_t i = 0; i < size; ++i) rows[lane][i] = data[i][lane];
    }
  }
  void SetZero(int64_t size) {
    for (int64_t i = 0; i < size; ++i) data[i] = Vec<T>{};
  }
};

// A NaN stays one.
template <typename T>
LONGSPAN_INLINE Vec<T> Positive(Vec<T> x) {
  return x < Vec<T>{} ? Vec<T>{} : x;
}

// exp of any number, infinite where it overflows: Exp is for x <= 0 and stops
// growing at kHighest.
template <typename T>
LONGSPAN_INLINE Vec<T> ExpOfAny(Vec<T> x) {
  const Vec<T> root = Exp<T>(x * static_cast<T>(0.5));
  return root * root;
}

// ---- Pieces ----------------------------------------------------------------

template <typename T>
void Affine(const T* weight, const T* bias, int64_t outputs, int64_t inputs,
            const FeatureTile<T>& x, FeatureTile<T>& y) {
  for (int64_t o = 0; o < outputs; ++o) {
    Vec<T> sum = Splat<T>(bias == nullptr ? T{0} : bias[o]);
    for (int64_t i = 0; i < inputs; ++i) sum += weight[o * inputs + i] * x[i];
    y[o] = sum;
  }
}

// d_x += W^T d_y; the parameters' sums take one head after the other.
template <typename T>
void AffineBackward(const FeatureMapRows<T>& rows, const T* weight,
                    const FeatureTile<T>& d_y, FeatureTile<T>& d_x, T* d_weight,
                    T* d_bias) {
  const int64_t inputs = rows.head_dim;
  for (int64_t o = 0; o < rows.hidden; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      d_x[i] += weight[o * inputs + i] * d_y[o];
    }
    for (int lane = 0; lane < rows.count; ++lane) {
      const T d = d_y[o][lane];
      const T* x = rows.x[lane];
      T* sums = d_weight + o * inputs;
      for (int64_t i = 0; i < inputs; ++i) sums[i] += d * x[i];
      if (d_bias != nullptr) d_bias[o] += d;
    }
  }
}

// In place over elements [begin, end).
template <typename T>
void Softmax(FeatureTile<T>& x, int64_t begin, int64_t end) {
  Vec<T> top = x[begin];
  for (int64_t i = begin; i < end; ++i) top = x[i] > top ? x[i] : top;
  Vec<T> sum = {};
  for (int64_t i = begin; i < end; ++i) sum += x[i] = Exp<T>(x[i] - top);
  const Vec<T> scale = static_cast<T>(1) / sum;
  for (int64_t i = begin; i < end; ++i) x[i] *= scale;
}

// d becomes the gradient of what softmax took; y is what it made.
template <typename T>
void SoftmaxBackward(const FeatureTile<T>& y, int64_t begin, int64_t end,
                     FeatureTile<T>& d) {
  Vec<T> dot = {};
  for (int64_t i = begin; i < end; ++i) dot += y[i] * d[i];
  for (int64_t i = begin; i < end; ++i) d[i] = y[i] * (d[i] - dot);
}

// square x_i^2, then cross x_i x_j for i < j, from y[at] on.
template <typename T>
void Pairs(const FeatureTile<T>& x, int64_t size, T square, T cross, int64_t at,
           FeatureTile<T>& y) {
  for (int64_t i = 0; i < size; ++i) y[at++] = square * x[i] * x[i];
  for (int64_t i = 0; i < size; ++i) {
    const Vec<T> scaled = cross * x[i];
    for (int64_t j = i + 1; j < size; ++j) y[at++] = scaled * x[j];
  }
}

template <typename T>
void PairsBackward(const FeatureTile<T>& x, int64_t size, T square, T cross,
                   const FeatureTile<T>& d_y, int64_t at, FeatureTile<T>& d_x) {
  for (int64_t i = 0; i < size; ++i) d_x[i] += 2 * square * x[i] * d_y[at++];
  for (int64_t i = 0; i < size; ++i) {
    Vec<T> sum = {};
    for (int64_t j = i + 1; j < size; ++j, ++at) {
      const Vec<T> d = cross * d_y[at];
      sum += d * x[j];
      d_x[j] += d * x[i];
    }
    d_x[i] += sum;
  }
}

// LayerNorm without weight and bias; returns 1 / deviation.
template <typename T>
Vec<T> Standardise(int64_t size, double epsilon, FeatureTile<T>& x) {
  Vec<T> mean = {};
  for (int64_t i = 0; i < size; ++i) mean += x[i];
  mean *= static_cast<T>(1) / static_cast<T>(size);
  Vec<T> variance = {};
  for (int64_t i = 0; i < size; ++i) {
    x[i] -= mean;
    variance += x[i] * x[i];
  }
  Vec<T> scale;
  for (int lane = 0; lane < kLanes<T>; ++lane) {
    const double mean_square =
        static_cast<double>(variance[lane]) / static_cast<double>(size);
    scale[lane] = static_cast<T>(1.0 / __builtin_sqrt(mean_square + epsilon));
  }
  for (int64_t i = 0; i < size; ++i) x[i] *= scale;
  return scale;
}

template <typename T>
void StandardiseBackward(int64_t size, const FeatureTile<T>& normed,
                         Vec<T> scale, FeatureTile<T>& d) {
  const T share = static_cast<T>(1) / static_cast<T>(size);
  Vec<T> mean = {};
  Vec<T> dot = {};
  for (int64_t i = 0; i < size; ++i) {
    mean += d[i];
    dot += d[i] * normed[i];
  }
  mean *= share;
  dot *= share;
  for (int64_t i = 0; i < size; ++i) {
    d[i] = scale * (d[i] - mean - normed[i] * dot);
  }
}

template <typename T>
struct PairFactors {
  T square;
  T cross;
};
template <typename T>
PairFactors<T> FactorsOf(FeatureMapKind kind, int64_t head_dim) {
  const double root = __builtin_sqrt(static_cast<double>(head_dim));
  const double two = __builtin_sqrt(2.0);
  if (kind == FeatureMapKind::kTaylor) {
    return {static_cast<T>(1.0 / (root * two)), static_cast<T>(1.0 / root)};
  }
  return {static_cast<T>(1.0 / root), static_cast<T>(two / root)};
}

// The factor of x in the Taylor map, d^(-1/4).
template <typename T>
T LinearFactor(int64_t head_dim) {
  return static_cast<T>(
      1.0 / __builtin_sqrt(__builtin_sqrt(static_cast<double>(head_dim))));
}

// ---- Maps ------------------------------------------------------------------

template <typename T>
void WeightAndBias(const FeatureMapRows<T>& rows, FeatureTile<T>& x) {
  for (int64_t i = 0; i < rows.head_dim; ++i) {
    x[i] = x[i] * rows.weight[i] + rows.bias[i];
  }
}

// From y = W x + b to the features, in place: [y] becomes [both signs].
template <typename T>
void Hedgehog(FeatureMapKind kind, int64_t hidden, FeatureTile<T>& y) {
  const T factor = kind == FeatureMapKind::kHedgehogSoftmax ? 2 : 1;
  for (int64_t i = 0; i < hidden; ++i) {
    y[i] *= factor;
    y[hidden + i] = -y[i];
  }
  if (kind == FeatureMapKind::kHedgehogSoftmax) {
    Softmax(y, 0, 2 * hidden);
  } else if (kind == FeatureMapKind::kHedgehogHalves) {
    Softmax(y, 0, hidden);
    Softmax(y, hidden, 2 * hidden);
  } else {
    for (int64_t i = 0; i < 2 * hidden; ++i) y[i] = ExpOfAny<T>(y[i]);
  }
}

template <typename T>
void HedgehogBackward(FeatureMapKind kind, int64_t hidden,
                      const FeatureTile<T>& features, FeatureTile<T>& d) {
  const T factor = kind == FeatureMapKind::kHedgehogSoftmax ? 2 : 1;
  if (kind == FeatureMapKind::kHedgehogSoftmax) {
    SoftmaxBackward(features, 0, 2 * hidden, d);
  } else if (kind == FeatureMapKind::kHedgehogHalves) {
    SoftmaxBackward(features, 0, hidden, d);
    SoftmaxBackward(features, hidden, 2 * hidden, d);
  } else {
    for (int64_t i = 0; i < 2 * hidden; ++i) d[i] *= features[i];
  }
  for (int64_t i = 0; i < hidden; ++i) d[i] = factor * (d[i] - d[hidden + i]);
}

template <typename T>
void SignedRelu(int64_t size, const FeatureTile<T>& x, FeatureTile<T>& z) {
  for (int64_t i = 0; i < size; ++i) {
    z[i] = Positive<T>(x[i]);
    z[size + i] = Positive<T>(-x[i]);
  }
}

// i - j, round the end; j <= kDpfpShifts may exceed a tiny size.
LONGSPAN_INLINE int64_t Rolled(int64_t i, int64_t j, int64_t size) {
  return (i + kDpfpShifts * size - j) % size;
}

template <typename T>
void Dpfp(const FeatureMapRows<T>& rows, const FeatureTile<T>& x,
          FeatureTile<T>& y) {
  FeatureTile<T> z;
  SignedRelu(rows.head_dim, x, z);
  const int64_t size = 2 * rows.head_dim;
  int64_t at = 0;
  for (int64_t j = 1; j <= kDpfpShifts; ++j) {
    for (int64_t i = 0; i < size; ++i) y[at++] = z[i] * z[Rolled(i, j, size)];
  }
}

template <typename T>
void DpfpBackward(const FeatureMapRows<T>& rows, const FeatureTile<T>& x,
                  const FeatureTile<T>& d_y, FeatureTile<T>& d_x) {
  FeatureTile<T> z;
  FeatureTile<T> d_z;
  SignedRelu(rows.head_dim, x, z);
  const int64_t size = 2 * rows.head_dim;
  d_z.SetZero(size);
  int64_t at = 0;
  for (int64_t j = 1; j <= kDpfpShifts; ++j) {
    for (int64_t i = 0; i < size; ++i, ++at) {
      const int64_t rolled = Rolled(i, j, size);
      d_z[i] += d_y[at] * z[rolled];
      d_z[rolled] += d_y[at] * z[i];
    }
  }
  for (int64_t i = 0; i < rows.head_dim; ++i) {
    const Vec<T> below = x[i] < Vec<T>{} ? -d_z[rows.head_dim + i] : Vec<T>{};
    d_x[i] = x[i] > Vec<T>{} ? d_z[i] : below;
  }
}

// 1 / sqrt(|x|^2 + epsilon) of every head.
template <typename T>
Vec<T> InverseLength(int64_t size, const FeatureTile<T>& x) {
  Vec<T> squares = {};
  for (int64_t i = 0; i < size; ++i) squares += x[i] * x[i];
  Vec<T> scale;
  for (int lane = 0; lane < kLanes<T>; ++lane) {
    const double square = static_cast<double>(squares[lane]);
    scale[lane] = static_cast<T>(1.0 / __builtin_sqrt(square + kUnitEpsilon));
  }
  return scale;
}

template <typename T>
void UnitBackward(int64_t size, const FeatureTile<T>& x,
                  const FeatureTile<T>& d_y, FeatureTile<T>& d_x) {
  const Vec<T> scale = InverseLength(size, x);
  Vec<T> dot = {};
  for (int64_t i = 0; i < size; ++i) dot += d_y[i] * x[i];
  dot *= scale * scale;
  for (int64_t i = 0; i < size; ++i) d_x[i] = scale * (d_y[i] - dot * x[i]);
}

template <typename T>
void MapTile(const FeatureMapRows<T>& rows, FeatureTile<T>& x,
             FeatureTile<T>& y) {
  const int64_t size = rows.head_dim;
  const PairFactors<T> pairs = FactorsOf<T>(rows.kind, size);
  switch (rows.kind) {
    case FeatureMapKind::kEluPlusOne:
      for (int64_t i = 0; i < size; ++i) {
        const Vec<T> high = Positive<T>(x[i]);
        y[i] = high + Exp<T>(x[i] - high);
      }
      return;
    case FeatureMapKind::kRelu:
      for (int64_t i = 0; i < size; ++i) y[i] = Positive<T>(x[i]);
      return;
    case FeatureMapKind::kSoftmax:
      for (int64_t i = 0; i < size; ++i) y[i] = x[i];
      return Softmax(y, 0, size);
    case FeatureMapKind::kTaylor:
      y[0] = Splat<T>(1);
      for (int64_t i = 0; i < size; ++i)
        y[1 + i] = LinearFactor<T>(size) * x[i];
      return Pairs(x, size, pairs.square, pairs.cross, 1 + size, y);
    case FeatureMapKind::kQuadratic:
      Standardise(size, rows.epsilon, x);
      WeightAndBias(rows, x);
      return Pairs(x, size, pairs.square, pairs.cross, 0, y);
    case FeatureMapKind::kHadamard: {
      FeatureTile<T> second;
      Affine(rows.weight, rows.bias, rows.hidden, size, x, y);
      Affine(rows.second_weight, rows.second_bias, rows.hidden, size, x,
             second);
      for (int64_t i = 0; i < rows.hidden; ++i) y[i] *= second[i];
      return;
    }
    case FeatureMapKind::kDpfp:
      return Dpfp(rows, x, y);
    case FeatureMapKind::kUnit: {
      const Vec<T> scale = InverseLength(size, x);
      for (int64_t i = 0; i < size; ++i) y[i] = scale * x[i];
      return;
    }
    default:
      Affine(rows.weight, rows.bias, rows.hidden, size, x, y);
      return Hedgehog(rows.kind, rows.hidden, y);
  }
}

template <typename T>
void QuadraticBackward(const FeatureMapRows<T>& rows, FeatureTile<T>& x,
                       const FeatureTile<T>& d_y, FeatureTile<T>& d_x,
                       const FeatureMapSums<T>& sums) {
  const int64_t size = rows.head_dim;
  const PairFactors<T> pairs = FactorsOf<T>(rows.kind, size);
  const Vec<T> scale = Standardise(size, rows.epsilon, x);
  FeatureTile<T> normed = x;
  WeightAndBias(rows, x);
  d_x.SetZero(size);
  PairsBackward(x, size, pairs.square, pairs.cross, d_y, 0, d_x);
  for (int64_t i = 0; i < size; ++i) {
    for (int lane = 0; lane < rows.count; ++lane) {
      sums.weight[i] += d_x[i][lane] * normed[i][lane];
      sums.bias[i] += d_x[i][lane];
    }
    d_x[i] *= rows.weight[i];
  }
  StandardiseBackward(size, normed, scale, d_x);
}

template <typename T>
void HadamardBackward(const FeatureMapRows<T>& rows, const FeatureTile<T>& x,
                      const FeatureTile<T>& d_y, FeatureTile<T>& d_x,
                      const FeatureMapSums<T>& sums) {
  const int64_t size = rows.head_dim;
  FeatureTile<T> d_first;
  FeatureTile<T> d_second;
  Affine(rows.weight, rows.bias, rows.hidden, size, x, d_second);
  Affine(rows.second_weight, rows.second_bias, rows.hidden, size, x, d_first);
  for (int64_t i = 0; i < rows.hidden; ++i) {
    d_first[i] *= d_y[i];
    d_second[i] *= d_y[i];
  }
  d_x.SetZero(size);
  AffineBackward(rows, rows.weight, d_first, d_x, sums.weight, sums.bias);
  AffineBackward(rows, rows.second_weight, d_second, d_x, sums.second_weight,
                 sums.second_bias);
}

template <typename T>
void MapTileBackward(const FeatureMapRows<T>& rows, FeatureTile<T>& x,
                     FeatureTile<T>& d_y, FeatureTile<T>& d_x,
                     const FeatureMapSums<T>& sums) {
  const int64_t size = rows.head_dim;
  const PairFactors<T> pairs = FactorsOf<T>(rows.kind, size);
  switch (rows.kind) {
    case FeatureMapKind::kEluPlusOne:
      for (int64_t i = 0; i < size; ++i) {
        d_x[i] = d_y[i] * Exp<T>(x[i] - Positive<T>(x[i]));
      }
      return;
    case FeatureMapKind::kRelu:
      for (int64_t i = 0; i < size; ++i) {
        d_x[i] = x[i] <= Vec<T>{} ? Vec<T>{} : d_y[i];
      }
      return;
    case FeatureMapKind::kSoftmax:
      Softmax(x, 0, size);
      SoftmaxBackward(x, 0, size, d_y);
      for (int64_t i = 0; i < size; ++i) d_x[i] = d_y[i];
      return;
    case FeatureMapKind::kTaylor:
      for (int64_t i = 0; i < size; ++i) {
        d_x[i] = LinearFactor<T>(size) * d_y[1 + i];
      }
      return PairsBackward(x, size, pairs.square, pairs.cross, d_y, 1 + size,
                           d_x);
    case FeatureMapKind::kQuadratic:
      return QuadraticBackward(rows, x, d_y, d_x, sums);
    case FeatureMapKind::kHadamard:
      return HadamardBackward(rows, x, d_y, d_x, sums);
    case FeatureMapKind::kDpfp:
      return DpfpBackward(rows, x, d_y, d_x);
    case FeatureMapKind::kUnit:
      return UnitBackward(size, x, d_y, d_x);
    default: {
      FeatureTile<T> features;
      Affine(rows.weight, rows.bias, rows.hidden, size, x, features);
      Hedgehog(rows.kind, rows.hidden, features);
      HedgehogBackward(rows.kind, rows.hidden, features, d_y);
      d_x.SetZero(size);
      return AffineBackward(rows, rows.weight, d_y, d_x, sums.weight,
                            sums.bias);
    }
  }
}

template <typename T>
void MapRows(const FeatureMapRows<T>& rows, T* const* y) {
  FeatureTile<T> in;
  FeatureTile<T> out;
  in.Read(rows.x, rows.count, rows.head_dim);
  MapTile(rows, in, out);
  out.Write(y, rows.count, rows.features);
}

template <typename T>
void MapRowsBackward(const FeatureMapRows<T>& rows, const T* const* d_y,
                     T* const* d_x, const FeatureMapSums<T>& sums) {
  FeatureTile<T> in;
  FeatureTile<T> d_out;
  FeatureTile<T> d_in;
  in.Read(rows.x, rows.count, rows.head_dim);
  d_out.Read(d_y, rows.count, rows.features);
  MapTileBackward(rows, in, d_out, d_in, sums);
  d_in.Write(d_x, rows.count, rows.head_dim);
}

extern const FeatureMapKernels kFeatureMapKernels;
const FeatureMapKernels kFeatureMapKernels = {
    .f32 = {kLanes<float>, MapRows<float>, MapRowsBackward<float>},
    .f64 = {kLanes<double>, MapRows<double>, MapRowsBackward<double>},
};

}  // namespace longspan::kernels::LONGSPAN_ISA
