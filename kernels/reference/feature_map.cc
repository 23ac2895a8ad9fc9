// Feature maps by their equations, one head after the other, in double.
#include "kernels/api/feature_map.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "common/base/status_macros.h"
#include "kernels/api/feature_map_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"

namespace longspan::kernels {
namespace {

using Row = std::vector<double>;

Row ReadRow(ConstTensorView x, int64_t m, int64_t h) {
  Row row(x.size(2));
  for (int64_t i = 0; i < x.size(2); ++i) row[i] = Load(x, {m, h, i});
  return row;
}

void WriteRow(TensorView y, int64_t m, int64_t h, const Row& row) {
  for (int64_t i = 0; i < y.size(2); ++i) Store(y, {m, h, i}, row[i]);
}

// ---- Pieces ----------------------------------------------------------------

// W x + b.
Row Affine(ConstTensorView weight, ConstTensorView bias, const Row& x) {
  Row y(weight.size(0), 0.0);
  for (int64_t o = 0; o < weight.size(0); ++o) {
    for (int64_t i = 0; i < weight.size(1); ++i) {
      y[o] += Load(weight, {o, i}) * x[i];
    }
    if (!bias.is_null()) y[o] += Load(bias, {o});
  }
  return y;
}

// d_x += W^T d_y, and the parameters' gradients.
void AffineBackward(ConstTensorView weight, const Row& x, const Row& d_y,
                    TensorView d_weight, TensorView d_bias, Row& d_x) {
  for (int64_t o = 0; o < weight.size(0); ++o) {
    for (int64_t i = 0; i < weight.size(1); ++i) {
      d_x[i] += Load(weight, {o, i}) * d_y[o];
      Accumulate(d_weight, {o, i}, d_y[o] * x[i]);
    }
    if (!d_bias.is_null()) Accumulate(d_bias, {o}, d_y[o]);
  }
}

Row Softmax(Row x) {
  const double top = *std::max_element(x.begin(), x.end());
  double sum = 0.0;
  for (double& value : x) sum += value = std::exp(value - top);
  for (double& value : x) value /= sum;
  return x;
}

// y = softmax(x).
Row SoftmaxBackward(const Row& y, const Row& d_y) {
  double dot = 0.0;
  for (size_t i = 0; i < y.size(); ++i) dot += y[i] * d_y[i];
  Row d_x(y.size());
  for (size_t i = 0; i < y.size(); ++i) d_x[i] = y[i] * (d_y[i] - dot);
  return d_x;
}

// [factor x, -factor x].
Row BothSigns(double factor, const Row& x) {
  Row y;
  for (double value : x) y.push_back(factor * value);
  for (double value : x) y.push_back(-factor * value);
  return y;
}

Row BothSignsBackward(double factor, const Row& d_y) {
  const size_t half = d_y.size() / 2;
  Row d_x(half);
  for (size_t i = 0; i < half; ++i) d_x[i] = factor * (d_y[i] - d_y[half + i]);
  return d_x;
}

Row FirstHalf(const Row& x) {
  return Row(x.begin(), x.begin() + static_cast<int64_t>(x.size() / 2));
}
Row SecondHalf(const Row& x) {
  return Row(x.begin() + static_cast<int64_t>(x.size() / 2), x.end());
}
Row Join(Row a, const Row& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// square x_i^2, then cross x_i x_j for i < j.
void AppendPairs(const Row& x, double square, double cross, Row& y) {
  for (double value : x) y.push_back(square * value * value);
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = i + 1; j < x.size(); ++j) y.push_back(cross * x[i] * x[j]);
  }
}

// d_x += for the pairs that begin at d_y[at].
void PairsBackward(const Row& x, double square, double cross, const Row& d_y,
                   size_t at, Row& d_x) {
  for (size_t i = 0; i < x.size(); ++i) d_x[i] += 2 * square * x[i] * d_y[at++];
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = i + 1; j < x.size(); ++j) {
      d_x[i] += cross * x[j] * d_y[at];
      d_x[j] += cross * x[i] * d_y[at++];
    }
  }
}

// LayerNorm without its weight and bias.
struct Normed {
  Row values;
  double scale = 0.0;
};

Normed Standardise(const Row& x, double epsilon) {
  const double count = static_cast<double>(x.size());
  double mean = 0.0;
  for (double value : x) mean += value / count;
  double variance = 0.0;
  for (double value : x) variance += (value - mean) * (value - mean) / count;
  Normed normed{x, 1.0 / std::sqrt(variance + epsilon)};
  for (double& value : normed.values) value = (value - mean) * normed.scale;
  return normed;
}

Row StandardiseBackward(const Normed& normed, const Row& d_y) {
  const double count = static_cast<double>(d_y.size());
  double mean = 0.0;
  double dot = 0.0;
  for (size_t i = 0; i < d_y.size(); ++i) {
    mean += d_y[i] / count;
    dot += d_y[i] * normed.values[i] / count;
  }
  Row d_x(d_y.size());
  for (size_t i = 0; i < d_y.size(); ++i) {
    d_x[i] = normed.scale * (d_y[i] - mean - normed.values[i] * dot);
  }
  return d_x;
}

Row WeightAndBias(const FeatureMapInputs& inputs, const Row& x) {
  Row y(x.size());
  for (int64_t i = 0; i < inputs.weight.size(0); ++i) {
    y[i] = x[i] * Load(inputs.weight, {i}) + Load(inputs.bias, {i});
  }
  return y;
}

// z_(i - j), round the end.
size_t Rolled(size_t i, int64_t j, size_t size) {
  return (i + size - static_cast<size_t>(j) % size) % size;
}

Row SignedRelu(const Row& x) {
  Row z;
  for (double value : x) z.push_back(std::max(value, 0.0));
  for (double value : x) z.push_back(std::max(-value, 0.0));
  return z;
}

double RootOf(const Row& x) { return std::sqrt(static_cast<double>(x.size())); }

// ---- Maps ------------------------------------------------------------------

Row Taylor(const Row& x) {
  const double root = RootOf(x);
  Row y = {1.0};
  for (double value : x) y.push_back(value / std::sqrt(root));
  AppendPairs(x, 1.0 / (root * std::sqrt(2.0)), 1.0 / root, y);
  return y;
}

Row TaylorBackward(const Row& x, const Row& d_y) {
  const double root = RootOf(x);
  Row d_x(x.size());
  for (size_t i = 0; i < x.size(); ++i) d_x[i] = d_y[1 + i] / std::sqrt(root);
  PairsBackward(x, 1.0 / (root * std::sqrt(2.0)), 1.0 / root, d_y, 1 + x.size(),
                d_x);
  return d_x;
}

Row Quadratic(const FeatureMapInputs& inputs, const Row& x) {
  const Row y = WeightAndBias(inputs, Standardise(x, inputs.epsilon).values);
  Row features;
  AppendPairs(y, 1.0 / RootOf(x), std::sqrt(2.0) / RootOf(x), features);
  return features;
}

Row QuadraticBackward(const FeatureMapInputs& inputs, const Row& x,
                      const Row& d_features, const FeatureMapGradients& d) {
  const Normed normed = Standardise(x, inputs.epsilon);
  const Row y = WeightAndBias(inputs, normed.values);
  Row d_y(x.size(), 0.0);
  PairsBackward(y, 1.0 / RootOf(x), std::sqrt(2.0) / RootOf(x), d_features, 0,
                d_y);
  for (int64_t i = 0; i < inputs.weight.size(0); ++i) {
    Accumulate(d.d_weight, {i}, d_y[i] * normed.values[i]);
    Accumulate(d.d_bias, {i}, d_y[i]);
    d_y[i] *= Load(inputs.weight, {i});
  }
  return StandardiseBackward(normed, d_y);
}

// What follows y = W x + b.
Row HedgehogOf(FeatureMapKind kind, const Row& y) {
  if (kind == FeatureMapKind::kHedgehogSoftmax) {
    return Softmax(BothSigns(2.0, y));
  }
  Row both = BothSigns(1.0, y);
  if (kind == FeatureMapKind::kHedgehogHalves) {
    return Join(Softmax(FirstHalf(both)), Softmax(SecondHalf(both)));
  }
  for (double& value : both) value = std::exp(value);
  return both;
}

Row HedgehogBackwardOf(FeatureMapKind kind, const Row& features, Row d) {
  if (kind == FeatureMapKind::kHedgehogSoftmax) {
    return BothSignsBackward(2.0, SoftmaxBackward(features, d));
  }
  if (kind == FeatureMapKind::kHedgehogHalves) {
    return BothSignsBackward(
        1.0, Join(SoftmaxBackward(FirstHalf(features), FirstHalf(d)),
                  SoftmaxBackward(SecondHalf(features), SecondHalf(d))));
  }
  for (size_t i = 0; i < d.size(); ++i) d[i] *= features[i];
  return BothSignsBackward(1.0, d);
}

Row HedgehogBackward(const FeatureMapInputs& inputs, const Row& x,
                     const Row& d_features, const FeatureMapGradients& d) {
  const Row features =
      HedgehogOf(inputs.kind, Affine(inputs.weight, inputs.bias, x));
  Row d_x(x.size(), 0.0);
  AffineBackward(inputs.weight, x,
                 HedgehogBackwardOf(inputs.kind, features, d_features),
                 d.d_weight, d.d_bias, d_x);
  return d_x;
}

Row Hadamard(const FeatureMapInputs& inputs, const Row& x) {
  Row y = Affine(inputs.weight, inputs.bias, x);
  const Row second = Affine(inputs.second_weight, inputs.second_bias, x);
  for (size_t i = 0; i < y.size(); ++i) y[i] *= second[i];
  return y;
}

Row HadamardBackward(const FeatureMapInputs& inputs, const Row& x,
                     const Row& d_y, const FeatureMapGradients& d) {
  Row first = Affine(inputs.weight, inputs.bias, x);
  Row second = Affine(inputs.second_weight, inputs.second_bias, x);
  for (size_t i = 0; i < d_y.size(); ++i) {
    std::swap(first[i], second[i]);
    first[i] *= d_y[i];
    second[i] *= d_y[i];
  }
  Row d_x(x.size(), 0.0);
  AffineBackward(inputs.weight, x, first, d.d_weight, d.d_bias, d_x);
  AffineBackward(inputs.second_weight, x, second, d.d_second_weight,
                 d.d_second_bias, d_x);
  return d_x;
}

Row Dpfp(const Row& x) {
  const Row z = SignedRelu(x);
  Row y;
  for (int64_t j = 1; j <= kDpfpShifts; ++j) {
    for (size_t i = 0; i < z.size(); ++i) {
      y.push_back(z[i] * z[Rolled(i, j, z.size())]);
    }
  }
  return y;
}

Row DpfpBackward(const Row& x, const Row& d_y) {
  const Row z = SignedRelu(x);
  Row d_z(z.size(), 0.0);
  size_t at = 0;
  for (int64_t j = 1; j <= kDpfpShifts; ++j) {
    for (size_t i = 0; i < z.size(); ++i, ++at) {
      const size_t rolled = Rolled(i, j, z.size());
      d_z[i] += d_y[at] * z[rolled];
      d_z[rolled] += d_y[at] * z[i];
    }
  }
  Row d_x(x.size(), 0.0);
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] > 0) d_x[i] = d_z[i];
    if (x[i] < 0) d_x[i] = -d_z[x.size() + i];
  }
  return d_x;
}

double LengthOf(const Row& x) {
  double square = kUnitEpsilon;
  for (double value : x) square += value * value;
  return std::sqrt(square);
}

Row UnitBackward(const Row& x, Row d) {
  const double length = LengthOf(x);
  double dot = 0.0;
  for (size_t i = 0; i < x.size(); ++i) dot += d[i] * x[i] / length;
  for (size_t i = 0; i < x.size(); ++i) {
    d[i] = (d[i] - dot * x[i] / length) / length;
  }
  return d;
}

Row MapRow(const FeatureMapInputs& inputs, const Row& x) {
  Row y = x;
  switch (inputs.kind) {
    case FeatureMapKind::kEluPlusOne:
      for (double& v : y) v = v > 0 ? v + 1 : std::exp(v);
      return y;
    case FeatureMapKind::kRelu:
      for (double& v : y) v = std::max(v, 0.0);
      return y;
    case FeatureMapKind::kSoftmax:
      return Softmax(x);
    case FeatureMapKind::kTaylor:
      return Taylor(x);
    case FeatureMapKind::kQuadratic:
      return Quadratic(inputs, x);
    case FeatureMapKind::kHadamard:
      return Hadamard(inputs, x);
    case FeatureMapKind::kDpfp:
      return Dpfp(x);
    case FeatureMapKind::kUnit:
      for (double& v : y) v /= LengthOf(x);
      return y;
    default:
      return HedgehogOf(inputs.kind, Affine(inputs.weight, inputs.bias, x));
  }
}

Row MapRowBackward(const FeatureMapInputs& inputs, const Row& x, const Row& d_y,
                   const FeatureMapGradients& d) {
  Row d_x = d_y;
  switch (inputs.kind) {
    case FeatureMapKind::kEluPlusOne:
      for (size_t i = 0; i < x.size(); ++i)
        d_x[i] *= std::exp(std::min(x[i], 0.0));
      return d_x;
    case FeatureMapKind::kRelu:
      for (size_t i = 0; i < x.size(); ++i) d_x[i] = x[i] <= 0 ? 0.0 : d_x[i];
      return d_x;
    case FeatureMapKind::kSoftmax:
      return SoftmaxBackward(Softmax(x), d_y);
    case FeatureMapKind::kTaylor:
      return TaylorBackward(x, d_y);
    case FeatureMapKind::kQuadratic:
      return QuadraticBackward(inputs, x, d_y, d);
    case FeatureMapKind::kHadamard:
      return HadamardBackward(inputs, x, d_y, d);
    case FeatureMapKind::kDpfp:
      return DpfpBackward(x, d_y);
    case FeatureMapKind::kUnit:
      return UnitBackward(x, d_y);
    default:
      return HedgehogBackward(inputs, x, d_y, d);
  }
}

class ReferenceFeatureMaps : public FeatureMaps {
 public:
  absl::Status Map(const FeatureMapInputs& inputs, TensorView y,
                   Stream&) override {
    RETURN_IF_ERROR(CheckFeatureMap(inputs, y, kReferenceOperands));
    for (int64_t m = 0; m < y.size(0); ++m) {
      for (int64_t h = 0; h < y.size(1); ++h) {
        WriteRow(y, m, h, MapRow(inputs, ReadRow(inputs.x, m, h)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status MapBackward(const FeatureMapInputs& inputs, ConstTensorView d_y,
                           const FeatureMapGradients& gradients, TensorView,
                           Stream&) override {
    RETURN_IF_ERROR(
        CheckFeatureMapBackward(inputs, d_y, gradients, kReferenceOperands));
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      for (int64_t h = 0; h < d_y.size(1); ++h) {
        WriteRow(gradients.d_x, m, h,
                 MapRowBackward(inputs, ReadRow(inputs.x, m, h),
                                ReadRow(d_y, m, h), gradients));
      }
    }
    return absl::OkStatus();
  }

  absl::Status AppendOnes(ConstTensorView v, TensorView wide,
                          Stream&) override {
    RETURN_IF_ERROR(
        CheckWideAndNarrow("AppendOnes", wide, v, kReferenceOperands));
    for (int64_t m = 0; m < v.size(0); ++m) {
      for (int64_t h = 0; h < v.size(1); ++h) {
        WriteRow(wide, m, h, Join(ReadRow(v, m, h), {1.0}));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Normalise(ConstTensorView sums, double epsilon, TensorView o,
                         Stream&) override {
    RETURN_IF_ERROR(
        CheckWideAndNarrow("Normalise", sums, o, kReferenceOperands));
    for (int64_t m = 0; m < o.size(0); ++m) {
      for (int64_t h = 0; h < o.size(1); ++h) {
        Row row = ReadRow(sums, m, h);
        const double divisor = row.back() + epsilon;
        for (double& value : row) value /= divisor;
        WriteRow(o, m, h, row);
      }
    }
    return absl::OkStatus();
  }

  absl::Status NormaliseBackward(ConstTensorView sums, double epsilon,
                                 ConstTensorView d_o, TensorView d_sums,
                                 Stream&) override {
    RETURN_IF_ERROR(
        CheckWideAndNarrow("NormaliseBackward", sums, d_o, kReferenceOperands));
    RETURN_IF_ERROR(CheckWideAndNarrow("NormaliseBackward", d_sums, d_o,
                                       kReferenceOperands));
    for (int64_t m = 0; m < d_o.size(0); ++m) {
      for (int64_t h = 0; h < d_o.size(1); ++h) {
        const Row row = ReadRow(sums, m, h);
        const double divisor = row.back() + epsilon;
        Row d = ReadRow(d_o, m, h);
        double dot = 0.0;
        for (size_t i = 0; i < d.size(); ++i) {
          dot += d[i] * row[i] / divisor;
          d[i] /= divisor;
        }
        d.push_back(-dot / divisor);
        WriteRow(d_sums, m, h, d);
      }
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<FeatureMaps> CreateReferenceFeatureMaps() {
  return std::make_unique<ReferenceFeatureMaps>();
}

}  // namespace longspan::kernels
