// Chooses the next token of a text where its logits lie.
//
// The rules are kernels/api/sampling.h's. The random number is a pure function
// of (seed, position), so a text does not depend on batching, ranks or
// restarts.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

struct SamplingOptions {
  double temperature = 1.0;  // 0: greedy
  int32_t top_k = 0;         // 0: all
  double top_p = 1.0;        // in (0, 1]; 1: all
  uint64_t seed = 0;
};

// kInvalidArgument with every limit that is broken.
absl::Status CheckSamplingOptions(const SamplingOptions& options);

struct SampledToken {
  int32_t id = 0;
  // Natural logarithm of the model's own probability: before temperature,
  // top_k and top_p.
  double log_probability = 0.0;
};

// Not thread-safe.
class Sampler {
 public:
  // Valid options. `context` is used by all calls.
  static absl::StatusOr<Sampler> Create(const RankContext& context,
                                        const SamplingOptions& options);

  // `logits` [1, V] of the context's accumulator type. `position` is the
  // token's index in its sequence, the prompt included. Waits for the stream.
  // kInternal if a logit is not finite.
  absl::StatusOr<SampledToken> Sample(kernels::ConstTensorView logits,
                                      int64_t position);

 private:
  Sampler(const RankContext& context, uint64_t seed, Tensor reals,
          Tensor integers)
      : context_(context),
        seed_(seed),
        reals_(std::move(reals)),
        integers_(std::move(integers)) {}

  RankContext context_;
  uint64_t seed_;
  Tensor reals_;     // temperature, top_p, uniform, log-probability
  Tensor integers_;  // top_k, id
};

}  // namespace longspan::worker
