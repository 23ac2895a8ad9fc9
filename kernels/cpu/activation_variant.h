// Activations and other maps over a contiguous run (see op_kernels.h).
#pragma once

#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/vector_math.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

template <typename T>
void Silu(int64_t n, const T* x, T* y) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> v = Load(x + i, count);
    Store<T>(y + i, v * Sigmoid<T>(v), count);
  });
}

template <typename T>
void SiluBackward(int64_t n, const T* x, const T* d_y, T* d_x) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> derivative = SiluDerivative<T>(Load(x + i, count));
    Store<T>(d_x + i, Load(d_y + i, count) * derivative, count);
  });
}

template <typename T>
void SwiGlu(int64_t n, const T* gate, const T* up, T* y) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> g = Load(gate + i, count);
    Store<T>(y + i, g * Sigmoid<T>(g) * Load(up + i, count), count);
  });
}

template <typename T>
void SwiGluBackward(int64_t n, const T* gate, const T* up, const T* d_y,
                    T* d_gate, T* d_up) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> g = Load(gate + i, count);
    const Vector<T> u = Load(up + i, count);
    const Vector<T> d = Load(d_y + i, count);
    const Vector<T> s = Sigmoid<T>(g);
    const Vector<T> one = Broadcast<T>(1);
    Store<T>(d_gate + i, d * u * (s * (one + g * (one - s))), count);
    Store<T>(d_up + i, d * (g * s), count);
  });
}

template <typename T>
void LogSigmoidRun(int64_t n, const T* x, const T* bias, T scale, T* y) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> z = Load(x + i, count) + Load(bias + i, count);
    Store<T>(y + i, LogSigmoid<T>(z) * scale, count);
  });
}

template <typename T>
void LogSigmoidBackward(int64_t n, const T* x, const T* bias, T scale,
                        const T* d_y, T* d_x) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> z = Load(x + i, count) + Load(bias + i, count);
    Store<T>(d_x + i, Load(d_y + i, count) * Sigmoid<T>(-z) * scale, count);
  });
}

template <typename T>
void SigmoidRun(int64_t n, const T* x, T factor, T* y) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    Store<T>(y + i, Sigmoid<T>(Load(x + i, count)) * factor, count);
  });
}

template <typename T>
void SigmoidBackward(int64_t n, const T* x, T factor, const T* d_y, T* d_x) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> s = Sigmoid<T>(Load(x + i, count));
    const Vector<T> one = Broadcast<T>(1);
    Store<T>(d_x + i, Load(d_y + i, count) * (s * (one - s)) * factor, count);
  });
}

// softplus(z) = -logsigmoid(-z).
template <typename T>
void SoftplusRun(int64_t n, const T* x, const T* bias, const T* scale, T* y) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> z = Load(x + i, count) + Load(bias + i, count);
    Store<T>(y + i, LogSigmoid<T>(-z) * -Load(scale + i, count), count);
  });
}

template <typename T>
void SoftplusBackward(int64_t n, const T* x, const T* bias, const T* scale,
                      const T* d_y, T* d_x) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> z = Load(x + i, count) + Load(bias + i, count);
    const Vector<T> d = Load(d_y + i, count) * Load(scale + i, count);
    Store<T>(d_x + i, d * Sigmoid<T>(z), count);
  });
}

template <typename T>
void Forget(int64_t n, const T* x, T* y, T* k) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> v = Load(x + i, count);
    Store<T>(y + i, LogSigmoid<T>(v), count);
    Store<T>(k + i, Sigmoid<T>(-v), count);
  });
}

template <typename T>
void ForgetBackward(int64_t n, const T* x, const T* d_y, const T* d_k, T* d_x) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> v = Load(x + i, count);
    const Vector<T> slope = Load(d_k + i, count) * Sigmoid<T>(v);
    Store<T>(d_x + i, (Load(d_y + i, count) - slope) * Sigmoid<T>(-v), count);
  });
}

// b + (1 - b) sigmoid(x) = (1 + b e^-x) / (1 + e^-x), whose logarithm is a
// difference of two that cannot overflow.
template <typename T>
void BoundedForget(int64_t n, const T* x, const T* bound, const T* log_bound,
                   T* y, T* k) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> v = Load(x + i, count);
    const Vector<T> above = v - Load(log_bound + i, count);
    Store<T>(y + i, LogSigmoid<T>(v) - LogSigmoid<T>(above), count);
    const Vector<T> room = static_cast<T>(1) - Load(bound + i, count);
    Store<T>(k + i, room * Sigmoid<T>(-v), count);
  });
}

template <typename T>
void BoundedForgetBackward(int64_t n, const T* x, const T* bound, const T* d_y,
                           const T* d_k, T* d_x, T* d_bound) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> v = Load(x + i, count);
    const Vector<T> b = Load(bound + i, count);
    const Vector<T> open = (static_cast<T>(1) - b) * Sigmoid<T>(v);
    const Vector<T> d_b =
        (Load(d_y + i, count) / (b + open) - Load(d_k + i, count)) *
        Sigmoid<T>(-v);
    Store<T>(d_x + i, d_b * open, count);
    Store<T>(d_bound + i, d_b, count);
  });
}

template <typename T>
void SigmoidProduct(int64_t n, const T* x, const T* gate, const T* bias, T* y) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> z = Load(gate + i, count) + Load(bias + i, count);
    Store<T>(y + i, Load(x + i, count) * Sigmoid<T>(z), count);
  });
}

template <typename T>
void SigmoidProductBackward(int64_t n, const T* x, const T* gate, const T* bias,
                            const T* d_y, T* d_x, T* d_gate) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> z = Load(gate + i, count) + Load(bias + i, count);
    const Vector<T> s = Sigmoid<T>(z);
    const Vector<T> d = Load(d_y + i, count) * s;
    const Vector<T> d_z = d * Load(x + i, count) * Sigmoid<T>(-z);
    Store<T>(d_x + i, d, count);
    Store<T>(d_gate + i, d_z, count);
  });
}

template <typename T>
void Add(int64_t n, const T* a, const T* b, T* out) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    Store<T>(out + i, Load(a + i, count) + Load(b + i, count), count);
  });
}

template <typename T>
void Scale(int64_t n, T factor, T* x) {
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    Store<T>(x + i, Load(x + i, count) * factor, count);
  });
}

template <typename T>
void Rotate(const RotaryHeads<T>& heads, const T* cosine, const T* sine) {
  for (int64_t head = 0; head < heads.count; ++head) {
    const T* x = heads.x + head * heads.x_stride;
    T* y = heads.y + head * heads.y_stride;
    ForLanes<T>(heads.half, [&](int64_t i, int64_t count) {
      const Vector<T> low = Load(x + i, count);
      const Vector<T> high = Load(x + heads.half + i, count);
      const Vector<T> c = Load(cosine + i, count);
      const Vector<T> s = Load(sine + i, count);
      Store<T>(y + i, low * c - high * s, count);
      Store<T>(y + heads.half + i, high * c + low * s, count);
    });
  }
}

// The padding lanes of the last vector must not win the maximum.
template <typename T>
T Maximum(int64_t n, const T* x) {
  Vector<T> top = Broadcast<T>(x[0]);
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    if (count == kLanes<T>) {
      const Vector<T> v = Load(x + i);
      top = v > top ? v : top;
    } else {
      for (int64_t lane = 0; lane < count; ++lane) {
        if (x[i + lane] > top[lane]) top[lane] = x[i + lane];
      }
    }
  });
  return MaxLane<T>(top);
}

template <typename T>
T Exponentials(int64_t n, T* x, double* sum) {
  const T top = Maximum(n, x);
  Vector<T> total = {};
  double tail = 0.0;
  ForLanes<T>(n, [&](int64_t i, int64_t count) {
    const Vector<T> e = Exp<T>(Load(x + i, count) - top);
    Store<T>(x + i, e, count);
    if (count == kLanes<T>) {
      total += e;
    } else {
      for (int64_t lane = 0; lane < count; ++lane) tail += e[lane];
    }
  });
  *sum = static_cast<double>(SumLanes<T>(total)) + tail;
  return top;
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
