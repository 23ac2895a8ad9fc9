// Inner loops of the element-wise and row-wise ops, once per element type and
// instruction set.
//
// Ops (elementwise.cc, cross_entropy.cc, ...) check operands and cut the work;
// these loops get raw pointers to contiguous runs and know nothing of views or
// threads. Results of a run do not depend on how work was cut. In-place use
// (output equal to an input of the same position) is allowed everywhere.
#pragma once

#include <cstdint>

#include "kernels/cpu/instruction_set.h"

namespace longspan::kernels {

// Groups of one row that are normalised separately: group g of an operand
// begins at g times its stride. Null gate: not gated.
template <typename T>
struct RmsNormRow {
  int64_t groups = 0;
  int64_t size = 0;
  const T* weight = nullptr;
  const T* x = nullptr;
  int64_t x_stride = 0;
  const T* gate = nullptr;
  int64_t gate_stride = 0;
};

template <typename T>
struct RmsNormRowGradients {
  const T* d_y = nullptr;
  int64_t d_y_stride = 0;
  const T* rstd = nullptr;  // [groups]
  T* d_x = nullptr;
  int64_t d_x_stride = 0;
  bool accumulate = false;
  T* d_gate = nullptr;
  int64_t d_gate_stride = 0;
  T* d_weight = nullptr;  // [size], accumulated
};

// The heads of one token: head h at h times the stride, `half` low and `half`
// high elements.
template <typename T>
struct RotaryHeads {
  int64_t count = 0;
  int64_t half = 0;
  const T* x = nullptr;
  int64_t x_stride = 0;
  T* y = nullptr;
  int64_t y_stride = 0;
};

// Tokens [begin, end) of up to one vector of channels of a short convolution.
// Pointers are at channel 0 of the run and token 0; strides are per token.
template <typename T>
struct ConvolutionRun {
  int64_t channels = 0;  // <= convolution_lanes
  int64_t kernel = 0;
  int64_t tokens = 0;  // of the whole sequence
  int64_t begin = 0;
  int64_t end = 0;
  bool silu = false;
  const int64_t* document_starts = nullptr;
  int64_t document_count = 0;
  const T* weight = nullptr;  // [channels, kernel]
  const T* bias = nullptr;    // [channels]; may be null
  const T* x = nullptr;
  int64_t x_stride = 0;
  const T* halo = nullptr;  // may be null
  int64_t halo_stride = 0;
};

template <typename T>
struct ConvolutionRunGradients {
  const T* d_y = nullptr;
  int64_t d_y_stride = 0;
  T* d_x = nullptr;
  int64_t d_x_stride = 0;
  T* d_halo = nullptr;  // may be null; written by the run with begin 0
  int64_t d_halo_stride = 0;
  T* d_weight = nullptr;  // [channels, kernel], overwritten
  T* d_bias = nullptr;    // [channels], overwritten; null iff bias is
};

// AdamW with everything but the elements folded into factors.
template <typename T>
struct AdamWFactors {
  T clip, beta1, one_minus_beta1, beta2, one_minus_beta2;
  T inverse_correction1, inverse_correction2;  // 1 / (1 - beta^step)
  T epsilon, learning_rate, decay;             // decay = weight_decay
};

// A product on raw pointers: element (i, j) at i * row + j * column.
struct MatMulF64 {
  int64_t rows = 0, columns = 0, inner = 0;
  const double* a = nullptr;
  int64_t a_row = 0, a_column = 0;
  const double* b = nullptr;
  int64_t b_row = 0, b_column = 0;
  double* c = nullptr;
  int64_t c_row = 0;
  bool accumulate = false;
};

template <typename T>
struct RowKernels {
  void (*silu)(int64_t n, const T* x, T* y);
  void (*silu_backward)(int64_t n, const T* x, const T* d_y, T* d_x);
  void (*swiglu)(int64_t n, const T* gate, const T* up, T* y);
  void (*swiglu_backward)(int64_t n, const T* gate, const T* up, const T* d_y,
                          T* d_gate, T* d_up);
  // y = logsigmoid(x + bias) * scale, and its gradient for x.
  void (*log_sigmoid)(int64_t n, const T* x, const T* bias, T scale, T* y);
  void (*log_sigmoid_backward)(int64_t n, const T* x, const T* bias, T scale,
                               const T* d_y, T* d_x);
  // y = factor * sigmoid(x), and its gradient.
  void (*sigmoid)(int64_t n, const T* x, T factor, T* y);
  void (*sigmoid_backward)(int64_t n, const T* x, T factor, const T* d_y,
                           T* d_x);
  // y = softplus(x + bias) * scale, with a scale per element.
  void (*softplus)(int64_t n, const T* x, const T* bias, const T* scale, T* y);
  void (*softplus_backward)(int64_t n, const T* x, const T* bias,
                            const T* scale, const T* d_y, T* d_x);
  // y = logsigmoid(x), k = sigmoid(-x).
  void (*forget)(int64_t n, const T* x, T* y, T* k);
  void (*forget_backward)(int64_t n, const T* x, const T* d_y, const T* d_k,
                          T* d_x);
  // The same above a bound per column: y = log(b + (1 - b) sigmoid(x)),
  // k = 1 - e^y. d_bound is each element's, overwritten.
  void (*bounded_forget)(int64_t n, const T* x, const T* bound,
                         const T* log_bound, T* y, T* k);
  void (*bounded_forget_backward)(int64_t n, const T* x, const T* bound,
                                  const T* d_y, const T* d_k, T* d_x,
                                  T* d_bound);
  // y = x sigmoid(gate + bias).
  void (*sigmoid_product)(int64_t n, const T* x, const T* gate, const T* bias,
                          T* y);
  void (*sigmoid_product_backward)(int64_t n, const T* x, const T* gate,
                                   const T* bias, const T* d_y, T* d_x,
                                   T* d_gate);
  void (*add)(int64_t n, const T* a, const T* b, T* out);
  // x *= factor.
  void (*scale)(int64_t n, T factor, T* x);

  void (*rms_norm)(const RmsNormRow<T>& row, double epsilon, T* y,
                   int64_t y_stride, T* rstd);
  void (*rms_norm_backward)(const RmsNormRow<T>& row,
                            const RmsNormRowGradients<T>& gradients);

  // (low, high) <- (low c - high s, high c + low s) in each head.
  void (*rotate)(const RotaryHeads<T>& heads, const T* cosine, const T* sine);

  // x <- e^(x - max); returns max, and the sum of the new x in *sum.
  T (*exponentials)(int64_t n, T* x, double* sum);

  int64_t convolution_lanes;
  void (*convolve)(const ConvolutionRun<T>& run, T* y, int64_t y_stride);
  void (*convolve_backward)(const ConvolutionRun<T>& run,
                            const ConvolutionRunGradients<T>& gradients);

  void (*adamw)(int64_t n, const AdamWFactors<T>& factors, const T* gradient,
                T* parameter, T* first_moment, T* second_moment);
  double (*sum_of_squares)(int64_t n, const T* x);
};

struct OpKernels {
  RowKernels<float> f32;
  RowKernels<double> f64;
  void (*matmul_f64)(const MatMulF64& product);

  template <typename T>
  const RowKernels<T>& rows() const;
};
template <>
inline const RowKernels<float>& OpKernels::rows<float>() const {
  return f32;
}
template <>
inline const RowKernels<double>& OpKernels::rows<double>() const {
  return f64;
}

// The kernels for `set`, which the processor must support.
const OpKernels& OpKernelsFor(InstructionSet set);

// The kernels for BestInstructionSet().
template <typename T>
const RowKernels<T>& RowKernelsOf() {
  return OpKernelsFor(BestInstructionSet()).rows<T>();
}

}  // namespace longspan::kernels
