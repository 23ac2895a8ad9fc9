// Chooses the next token from its logits.
//
// Candidates are ordered by falling logit, equal logits by rising id. top_k
// keeps the first k of them; top_p then keeps the shortest run whose
// probability (after the temperature) reaches top_p; the token is drawn from
// what is kept. The random number is a pure function of (seed, position), so a
// text does not depend on batching, ranks or restarts. Temperature 0 takes the
// first candidate.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

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

// `logits` [V], V >= 1. `position` is the token's index in its sequence, the
// prompt included. kInternal if a logit is not finite.
absl::StatusOr<SampledToken> SampleToken(absl::Span<const double> logits,
                                         const SamplingOptions& options,
                                         int64_t position);

// log(sum(exp(logits))), without overflow.
double LogSumExp(absl::Span<const double> logits);

}  // namespace longspan::worker
