// Feature maps of linear attention: phi, applied to every head of q and k, and
// the normaliser that goes with maps of positive features.
//
//     o_t = phi(q_t) S_t / (phi(q_t) z_t + epsilon),   z_t = sum_u phi(k_u)
//
// z is one more column of the state: with v' = [v, 1] the recurrence gives
// o' = [phi(q) S, phi(q) z], and Normalise divides. Everything that holds for
// states (decay, exchange between ranks, decode) holds for z unchanged.
//
// With D the size of a head, d = D as a number, F the number of features:
//
//   kind              phi(x)                                            F
//   kEluPlusOne       elu(x) + 1                                        D
//   kRelu             relu(x)                                           D
//   kSoftmax          softmax(x) over D                                 D
//   kTaylor           [1, x / d^(1/4), x_i^2 / sqrt(2 d),
//                      x_i x_j / sqrt(d) for i < j]     1 + D + D(D+1)/2
//                     so that phi(q) phi(k)^T = 1 + s + s^2 / 2 with
//                     s = q k^T / sqrt(d)
//   kQuadratic        y = norm(x) * weight + bias;
//                     [y_i^2 / sqrt(d), y_i y_j sqrt(2 / d) for i < j]
//                                                             D(D+1)/2
//                     so that phi(q) phi(k)^T = (y_q y_k^T)^2 / d
//   kHedgehogExp      y = W x + b;  [exp(y), exp(-y)]                   2 R
//   kHedgehogSoftmax  y = W x + b;  softmax([2 y, -2 y]) over all       2 R
//   kHedgehogHalves   y = W x + b;  [softmax(y), softmax(-y)]           2 R
//   kHadamard         (W x + b) * (W2 x + b2)                           R
//   kDpfp             z = [relu(x), relu(-x)];
//                     [z * roll(z, j) for j = 1 .. 4]                   8 D
//   kUnit             x / sqrt(|x|^2 + 1e-6)                            D
//
// norm is LayerNorm over D with `epsilon`; roll(z, j)_i = z_(i - j). Pairs
// i < j are in row-major order. Identity needs no op, silu is in elementwise.h.
//
// Sources: Katharopoulos (arXiv 2006.16236), elu; Based (2402.18668), Taylor;
// ReBased (2402.10644), quadratic; Hedgehog (2402.04347), exp; fla's
// HedgehogFeatureMap, one softmax over both signs; LoLCATs (2410.10254), a
// softmax of each sign; fla's linear_attn, Hadamard; DPFP (2102.11174);
// DeltaNet (2406.06484), unit, with fla's epsilon.
//
// Shapes: x [M, H, D], y [M, H, F], rows of heads strided in M and H.
// weight, second_weight [R, D] and bias, second_bias [R] (null: none), shared
// by the heads; for kQuadratic weight and bias are [D]. 1 <= D, F <= 512.
//
// Precision: f32 and f64 (cpu, reference), sums in the operands' type or wider.
// Errors: kInvalidArgument for shapes that do not fit together or a workspace
// that is too small; kUnimplemented, naming the map, where the backend has
// none of them (cuda). Nothing is allocated, outputs are written completely,
// inputs and outputs do not overlap.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

enum class FeatureMapKind {
  kEluPlusOne,
  kRelu,
  kSoftmax,
  kTaylor,
  kQuadratic,
  kHedgehogExp,
  kHedgehogSoftmax,
  kHedgehogHalves,
  kHadamard,
  kDpfp,
  kUnit
};

inline constexpr int64_t kDpfpShifts = 4;
inline constexpr int64_t kMaxFeatures = 512;
inline constexpr double kUnitEpsilon = 1e-6;

const char* FeatureMapName(FeatureMapKind kind);  // "taylor"

// F for heads of D and maps of R rows (R is ignored where there is no W).
int64_t FeatureCount(FeatureMapKind kind, int64_t head_dim, int64_t rows);

struct FeatureMapInputs {
  FeatureMapKind kind = FeatureMapKind::kRelu;
  ConstTensorView x;
  ConstTensorView weight;         // null for maps without parameters
  ConstTensorView bias;           // may be null, but not for kQuadratic
  ConstTensorView second_weight;  // kHadamard
  ConstTensorView second_bias;    // kHadamard, null iff bias is
  double epsilon = 1e-5;          // kQuadratic
};

// d_x is overwritten, the gradients of parameters accumulate; those are null
// iff the parameters are.
struct FeatureMapGradients {
  TensorView d_x;
  TensorView d_weight;
  TensorView d_bias;
  TensorView d_second_weight;
  TensorView d_second_bias;
};

class FeatureMaps {
 public:
  virtual ~FeatureMaps() = default;

  virtual absl::Status Map(const FeatureMapInputs& inputs, TensorView y,
                           Stream& stream) = 0;
  virtual absl::Status MapBackward(const FeatureMapInputs& inputs,
                                   ConstTensorView d_y,
                                   const FeatureMapGradients& gradients,
                                   TensorView workspace, Stream& stream) = 0;

  // wide [M, H, Dv + 1] = [v, 1] with v [M, H, Dv].
  virtual absl::Status AppendOnes(ConstTensorView v, TensorView wide,
                                  Stream& stream) = 0;
  // o [M, H, Dv] = sums[..., :Dv] / (sums[..., Dv] + epsilon).
  virtual absl::Status Normalise(ConstTensorView sums, double epsilon,
                                 TensorView o, Stream& stream) = 0;
  virtual absl::Status NormaliseBackward(ConstTensorView sums, double epsilon,
                                         ConstTensorView d_o, TensorView d_sums,
                                         Stream& stream) = 0;
};

}  // namespace longspan::kernels
