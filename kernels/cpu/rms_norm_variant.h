// RMSNorm of the groups of one row (see op_kernels.h).
#pragma once

#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/vector_math.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

template <typename T>
T InverseRms(int64_t size, const T* x, double epsilon) {
  Vector<T> squares = {};
  ForLanes<T>(size, [&](int64_t i, int64_t count) {
    const Vector<T> v = Load(x + i, count);
    squares += v * v;
  });
  const double mean =
      static_cast<double>(SumLanes<T>(squares)) / static_cast<double>(size);
  return static_cast<T>(1.0 / __builtin_sqrt(mean + epsilon));
}

template <typename T>
Vector<T> GateOf(const T* gate, int64_t i, int64_t count) {
  if (gate == nullptr) return Broadcast<T>(1);
  const Vector<T> g = Load(gate + i, count);
  return g * Sigmoid<T>(g);
}

template <typename T>
void RmsNorm(const RmsNormRow<T>& row, double epsilon, T* y, int64_t y_stride,
             T* rstd) {
  for (int64_t group = 0; group < row.groups; ++group) {
    const T* x = row.x + group * row.x_stride;
    const T* gate =
        row.gate == nullptr ? nullptr : row.gate + group * row.gate_stride;
    T* out = y + group * y_stride;
    const T scale = InverseRms(row.size, x, epsilon);
    rstd[group] = scale;
    ForLanes<T>(row.size, [&](int64_t i, int64_t count) {
      const Vector<T> normed = Load(x + i, count) * scale;
      const Vector<T> weight = Load(row.weight + i, count);
      Store<T>(out + i, normed * weight * GateOf(gate, i, count), count);
    });
  }
}

// One group. normed = x rstd; with d_n = d_y silu(gate) weight:
//   d_x = rstd (d_n - normed mean(d_n normed)).
template <typename T>
void RmsNormGroupBackward(int64_t size, T scale, const T* weight, const T* x,
                          const T* gate, const T* d_y, T* d_x, bool accumulate,
                          T* d_gate, T* d_weight) {
  Vector<T> dots = {};
  ForLanes<T>(size, [&](int64_t i, int64_t count) {
    dots += Load(d_y + i, count) * GateOf(gate, i, count) *
            Load(weight + i, count) * Load(x + i, count);
  });
  const T mean = SumLanes<T>(dots) * scale / static_cast<T>(size);
  ForLanes<T>(size, [&](int64_t i, int64_t count) {
    const Vector<T> normed = Load(x + i, count) * scale;
    const Vector<T> w = Load(weight + i, count);
    const Vector<T> d = Load(d_y + i, count);
    Vector<T> gated = d;
    if (gate != nullptr) {
      const Vector<T> g = Load(gate + i, count);
      const Vector<T> s = Sigmoid<T>(g);
      const Vector<T> one = Broadcast<T>(1);
      gated = d * (g * s);
      Store<T>(d_gate + i, d * normed * w * (s * (one + g * (one - s))), count);
    }
    Vector<T> gradient = (gated * w - normed * mean) * scale;
    if (accumulate) gradient += Load(d_x + i, count);
    Store<T>(d_weight + i, Load(d_weight + i, count) + gated * normed, count);
    Store<T>(d_x + i, gradient, count);
  });
}

template <typename T>
void RmsNormBackward(const RmsNormRow<T>& row,
                     const RmsNormRowGradients<T>& gradients) {
  for (int64_t group = 0; group < row.groups; ++group) {
    const bool gated = row.gate != nullptr;
    RmsNormGroupBackward(
        row.size, gradients.rstd[group], row.weight,
        row.x + group * row.x_stride,
        gated ? row.gate + group * row.gate_stride : nullptr,
        gradients.d_y + group * gradients.d_y_stride,
        gradients.d_x + group * gradients.d_x_stride, gradients.accumulate,
        gated ? gradients.d_gate + group * gradients.d_gate_stride : nullptr,
        gradients.d_weight);
  }
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
