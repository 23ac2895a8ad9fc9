// Drawing the next token of each text from its logits.
//
// With m = max_j l_j and temperature t, token i is at a distance behind the
// best one, and has a weight:
//
//     d_i = floor((m - l_i) f)            f = 2^26 / t
//     w_i = floor(2^43 exp(-d_i / 2^26))
//
// Tokens are ranked by rising distance, equal ones by rising id. top_k keeps
// the first k of them; top_p then keeps the shortest run whose weight reaches
// top_p of what was kept; of the rest, the token is drawn in which the running
// sum of weights passes `uniform` times their total. Temperature 0 draws the
// lowest id of the largest logit.
//
// Weights are integers, so that sums do not depend on the order of addition,
// nor the token on threads or launches. What is below 2^-43 of the best has
// weight 0 and is never drawn.
//
// Shapes: logits [R, V], rows may be strided; everything else [R]. Types:
// logits f32, or f64 (CPU, reference). The ranking is the same everywhere; the
// CUDA backend takes exp in f32, so that near a border it may draw a neighbour.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

struct SamplingInputs {
  ConstTensorView logits;       // [R, V], 1 <= V <= 2^20
  ConstTensorView temperature;  // f64, >= 0
  ConstTensorView top_k;        // i32; 0: all
  ConstTensorView top_p;        // f64, in (0, 1]
  ConstTensorView uniform;      // f64, in [0, 1)
};

struct SamplingOutputs {
  // i32. A row with a logit that is not finite gives -1 - (index of the first).
  TensorView ids;
  // f64: natural logarithm of the model's own probability of the token: before
  // temperature, top_k and top_p. NaN where the id is negative.
  TensorView log_probabilities;
};

inline constexpr int64_t kMaxSampledVocabulary = int64_t{1} << 20;

class Sampling {
 public:
  virtual ~Sampling() = default;

  // kInvalidArgument for shapes and types that do not fit.
  virtual absl::Status Sample(const SamplingInputs& inputs,
                              const SamplingOutputs& outputs,
                              Stream& stream) = 0;
};

// What every larger distance is cut to; its weight is 0.
inline constexpr uint32_t kFarthestDistance = 0xFFFFFFFFu;

// f, d and w as above, in double.
double SamplingFactor(double temperature);
uint32_t SamplingDistance(double max, double logit, double factor);
uint64_t SamplingWeight(uint32_t distance);

}  // namespace longspan::kernels
