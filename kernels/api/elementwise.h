// Row-wise and element-wise ops of the block: norms, rotary, gates,
// convolution.
//
// Unless an op says otherwise, operands are [M, N] with contiguous rows that
// may be strided, f32, f64 or bf16 (tensor_view.h says which backend has
// which), and parameter gradients accumulate while activation gradients
// overwrite. With bf16 operands, weights, biases, rstd, log gates and all
// parameter gradients are f32. Sums run in an order that depends on shapes
// only.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/documents.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

// y = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + epsilon). With `gate`
// (same shape as x): y = x * rstd * weight * silu(gate).
// x may be rank 2 [M, N], or rank 3 [M, G, N] for a norm per head: each of the
// G groups is normalised on its own and weight is [N], shared by the groups.
// rstd [M] or [M, G], f32 (f64 for f64 operands).
struct RmsNormInputs {
  ConstTensorView x;
  ConstTensorView weight;
  ConstTensorView gate;  // may be null
  double epsilon = 1e-6;
};

struct RmsNormGradients {
  TensorView d_x;
  TensorView d_weight;
  TensorView d_gate;        // null iff gate is
  bool accumulate = false;  // d_x += instead of d_x =
};

class Elementwise {
 public:
  virtual ~Elementwise() = default;

  virtual absl::Status RmsNorm(const RmsNormInputs& inputs, TensorView y,
                               TensorView rstd, Stream& stream) = 0;
  virtual absl::Status RmsNormBackward(const RmsNormInputs& inputs,
                                       ConstTensorView rstd,
                                       ConstTensorView d_y,
                                       const RmsNormGradients& gradients,
                                       TensorView workspace,
                                       Stream& stream) = 0;

  // Rotary position embedding in half-split (NeoX) pairs (i, i + D/2), angle
  // position * base^(-2i/D), computed in double. x, y [B, T, H, D] (D even);
  // positions [T] i64. `inverse` rotates back, which is also the backward op.
  // y may be x.
  virtual absl::Status Rotary(ConstTensorView x, ConstTensorView positions,
                              double base, bool inverse, TensorView y,
                              Stream& stream) = 0;

  // y = silu(x) = x * sigmoid(x).
  virtual absl::Status Silu(ConstTensorView x, TensorView y,
                            Stream& stream) = 0;
  virtual absl::Status SiluBackward(ConstTensorView x, ConstTensorView d_y,
                                    TensorView d_x, Stream& stream) = 0;

  // y = silu(gate) * up.
  virtual absl::Status SwiGlu(ConstTensorView gate, ConstTensorView up,
                              TensorView y, Stream& stream) = 0;
  virtual absl::Status SwiGluBackward(ConstTensorView gate, ConstTensorView up,
                                      ConstTensorView d_y, TensorView d_gate,
                                      TensorView d_up, Stream& stream) = 0;

  // y = logsigmoid(x + bias) / normalizer, the log gate of simple GLA. bias
  // [N]. d_bias accumulates.
  virtual absl::Status LogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                                      double normalizer, TensorView y,
                                      Stream& stream) = 0;
  virtual absl::Status LogSigmoidGateBackward(ConstTensorView x,
                                              ConstTensorView bias,
                                              double normalizer,
                                              ConstTensorView d_y,
                                              TensorView d_x, TensorView d_bias,
                                              Stream& stream) = 0;

  // out = a + b (out may be a or b).
  virtual absl::Status Add(ConstTensorView a, ConstTensorView b, TensorView out,
                           Stream& stream) = 0;
  virtual absl::Status SetZero(TensorView x, Stream& stream) = 0;
  // Copies between views of equal shape, strides may differ (up to kMaxRank
  // dimensions). Types are equal, or f32 and bf16 in either direction, where
  // the narrow type is rounded to nearest even.
  virtual absl::Status Copy(ConstTensorView from, TensorView to,
                            Stream& stream) = 0;

  // y = factor * x, computed in double, rounded to y's type. x, y [N] f32 or
  // f64, contiguous; factor [1] f64.
  virtual absl::Status Scale(ConstTensorView x, ConstTensorView factor,
                             TensorView y, Stream& stream) = 0;
};

// Depthwise causal convolution over tokens with kernel size K, then optionally
// silu:
//
//     y[t, c] = act(bias[c] + sum_{j=0..K-1} weight[c, j] * x[t - (K-1) + j,
//     c])
//
// x, y [B, T, C]; weight [C, K], 2 <= K <= 8; bias [C] or null (which is all
// that cuda has); halo [B, K-1, C] holds the K-1
// tokens before t = 0 (null: zeros); the caller puts zeros where they belong to
// another document than token 0. Taps do not cross a document start.
struct ShortConvolutionInputs {
  ConstTensorView x;
  ConstTensorView weight;
  ConstTensorView halo;
  bool silu = false;
  Documents documents;
  ConstTensorView bias;
};

struct ShortConvolutionGradients {
  TensorView d_x;
  TensorView d_weight;  // accumulated
  TensorView d_halo;    // null iff halo is; overwritten
  TensorView d_bias;    // null iff bias is; accumulated
};

class ShortConvolution {
 public:
  virtual ~ShortConvolution() = default;

  virtual absl::Status Forward(const ShortConvolutionInputs& inputs,
                               TensorView y, Stream& stream) = 0;
  virtual absl::Status Backward(const ShortConvolutionInputs& inputs,
                                ConstTensorView d_y,
                                const ShortConvolutionGradients& gradients,
                                TensorView workspace, Stream& stream) = 0;
};

}  // namespace longspan::kernels
