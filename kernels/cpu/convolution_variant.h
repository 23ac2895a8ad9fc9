// Short convolution over one vector of channels (see op_kernels.h).
//
// kTaps is the kernel size where the compiler should know it (4, what models
// use), or 0 to take it from the run.
//
// lowest(t) is the first token that token t may read: the start of its
// document, or -(kernel - 1), the beginning of the halo.
#pragma once

#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/vector_math.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

inline constexpr int64_t kMaxTaps = 8;

// lowest(t) for increasing t.
template <typename T>
class DocumentCursor {
 public:
  explicit DocumentCursor(const ConvolutionRun<T>& run) : run_(run) {}

  int64_t LowestAt(int64_t t) {
    while (next_ < run_.document_count && run_.document_starts[next_] <= t) {
      ++next_;
    }
    return next_ > 0 ? run_.document_starts[next_ - 1] : 1 - run_.kernel;
  }

 private:
  const ConvolutionRun<T>& run_;
  int64_t next_ = 0;
};

template <typename T, int kTaps>
int64_t KernelSize(const ConvolutionRun<T>& run) {
  return kTaps > 0 ? kTaps : run.kernel;
}

template <typename T>
struct Taps {
  Vector<T> weight[kMaxTaps];
  Vector<T> bias = {};

  explicit Taps(const ConvolutionRun<T>& run) {
    if (run.bias != nullptr) bias = Load(run.bias, run.channels);
    for (int64_t j = 0; j < run.kernel; ++j) {
      weight[j] = Vector<T>{};
      for (int64_t c = 0; c < run.channels; ++c) {
        weight[j][c] = run.weight[c * run.kernel + j];
      }
    }
  }
};

// The input at source s in [lowest, t], 0 where a null halo would be read.
template <typename T>
Vector<T> Source(const ConvolutionRun<T>& run, int64_t s) {
  if (s >= 0) return Load(run.x + s * run.x_stride, run.channels);
  if (run.halo == nullptr) return Vector<T>{};
  return Load(run.halo + (run.kernel - 1 + s) * run.halo_stride, run.channels);
}

// Calls body(j, source j of token t) for the taps that t may read.
template <typename T, int kTaps, typename Body>
inline void ForSources(const ConvolutionRun<T>& run, int64_t t, int64_t lowest,
                       const Body& body) {
  const int64_t kernel = KernelSize<T, kTaps>(run);
  const int64_t first = t - (kernel - 1);
  if (first >= lowest && first >= 0 && run.channels == kLanes<T>) {
    const T* x = run.x + first * run.x_stride;
    for (int64_t j = 0; j < kernel; ++j) body(j, Load(x + j * run.x_stride));
    return;
  }
  for (int64_t j = 0; j < kernel; ++j) {
    if (first + j >= lowest) body(j, Source(run, first + j));
  }
}

template <typename T, int kTaps>
Vector<T> PreActivation(const ConvolutionRun<T>& run, const Taps<T>& taps,
                        int64_t t, int64_t lowest) {
  Vector<T> sum = taps.bias;
  ForSources<T, kTaps>(run, t, lowest, [&](int64_t j, Vector<T> source) {
    sum += taps.weight[j] * source;
  });
  return sum;
}

template <typename T, int kTaps>
void ConvolveTaps(const ConvolutionRun<T>& run, T* y, int64_t y_stride) {
  const Taps<T> taps(run);
  DocumentCursor<T> cursor(run);
  for (int64_t t = run.begin; t < run.end; ++t) {
    Vector<T> z = PreActivation<T, kTaps>(run, taps, t, cursor.LowestAt(t));
    if (run.silu) z *= Sigmoid<T>(z);
    Store<T>(y + t * y_stride, z, run.channels);
  }
}

template <typename T>
void Convolve(const ConvolutionRun<T>& run, T* y, int64_t y_stride) {
  const auto convolve =
      run.kernel == 4 ? ConvolveTaps<T, 4> : ConvolveTaps<T, 0>;
  convolve(run, y, y_stride);
}

// Gradients of the last kMaxTaps tokens before their activation.
template <typename T>
struct GradientRing {
  Vector<T> d_z[kMaxTaps];
  int64_t lowest[kMaxTaps];
};

// d source[s] = sum over the tokens t in [s, s + kernel) that read it. lowest
// grows with t, so if the last of them reads s, all do.
template <typename T, int kTaps>
Vector<T> SourceGradient(const ConvolutionRun<T>& run, const Taps<T>& taps,
                         const GradientRing<T>& ring, int64_t s) {
  Vector<T> sum = {};
  const int64_t kernel = KernelSize<T, kTaps>(run);
  const int64_t last = s + kernel - 1;
  if (s >= 0 && last < run.tokens && s >= ring.lowest[last % kMaxTaps]) {
    for (int64_t j = 0; j < kernel; ++j) {
      sum += taps.weight[j] * ring.d_z[(last - j) % kMaxTaps];
    }
    return sum;
  }
  for (int64_t j = 0; j < kernel; ++j) {
    const int64_t t = last - j;
    if (t < 0 || t >= run.tokens || s < ring.lowest[t % kMaxTaps]) continue;
    sum += taps.weight[j] * ring.d_z[t % kMaxTaps];
  }
  return sum;
}

template <typename T>
void StoreSourceGradient(const ConvolutionRun<T>& run,
                         const ConvolutionRunGradients<T>& gradients, int64_t s,
                         Vector<T> value) {
  if (s >= 0) {
    Store<T>(gradients.d_x + s * gradients.d_x_stride, value, run.channels);
  } else if (gradients.d_halo != nullptr) {
    T* row = gradients.d_halo + (run.kernel - 1 + s) * gradients.d_halo_stride;
    Store<T>(row, value, run.channels);
  }
}

template <typename T>
void StoreTaps(const ConvolutionRun<T>& run, const Taps<T>& taps,
               const ConvolutionRunGradients<T>& gradients) {
  for (int64_t c = 0; c < run.channels; ++c) {
    for (int64_t j = 0; j < run.kernel; ++j) {
      gradients.d_weight[c * run.kernel + j] = taps.weight[j][c];
    }
  }
  if (gradients.d_bias == nullptr) return;
  Store<T>(gradients.d_bias, taps.bias, run.channels);
}

// The gradient of token t before its activation; tokens of the run also add
// theirs to the weights' and the bias's.
template <typename T, int kTaps>
Vector<T> TokenGradient(const ConvolutionRun<T>& run,
                        const ConvolutionRunGradients<T>& gradients,
                        const Taps<T>& taps, int64_t t, int64_t lowest,
                        Taps<T>& d_taps) {
  Vector<T> d_z = Load(gradients.d_y + t * gradients.d_y_stride, run.channels);
  if (run.silu) {
    d_z *= SiluDerivative<T>(PreActivation<T, kTaps>(run, taps, t, lowest));
  }
  if (t < run.end) {
    d_taps.bias += d_z;
    ForSources<T, kTaps>(run, t, lowest, [&](int64_t j, Vector<T> source) {
      d_taps.weight[j] += d_z * source;
    });
  }
  return d_z;
}

// Token t brings its gradient into the ring; source t - (kernel - 1) is then
// complete. The run goes kernel - 1 tokens past its end, whose gradients also
// reach its sources.
template <typename T, int kTaps>
void ConvolveTapsBackward(const ConvolutionRun<T>& run,
                          const ConvolutionRunGradients<T>& gradients) {
  const Taps<T> taps(run);
  Taps<T> d_taps(run);
  for (Vector<T>& weight : d_taps.weight) weight = Vector<T>{};
  d_taps.bias = Vector<T>{};
  GradientRing<T> ring = {};
  DocumentCursor<T> cursor(run);
  const int64_t reach = KernelSize<T, kTaps>(run) - 1;
  const int64_t first_source = run.begin == 0 ? -reach : run.begin;
  for (int64_t t = run.begin; t < run.end + reach; ++t) {
    if (t < run.tokens) {
      const int64_t lowest = cursor.LowestAt(t);
      ring.lowest[t % kMaxTaps] = lowest;
      ring.d_z[t % kMaxTaps] =
          TokenGradient<T, kTaps>(run, gradients, taps, t, lowest, d_taps);
    }
    const int64_t s = t - reach;
    if (s < first_source) continue;
    StoreSourceGradient(run, gradients, s,
                        SourceGradient<T, kTaps>(run, taps, ring, s));
  }
  StoreTaps(run, d_taps, gradients);
}

template <typename T>
void ConvolveBackward(const ConvolutionRun<T>& run,
                      const ConvolutionRunGradients<T>& gradients) {
  const auto backward =
      run.kernel == 4 ? ConvolveTapsBackward<T, 4> : ConvolveTapsBackward<T, 0>;
  backward(run, gradients);
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
