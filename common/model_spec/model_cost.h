// Operation counts of a model, per token, forward and backward together where
// nothing else is said. Useful operations only: what the mathematics needs,
// whatever the kernels do.
#pragma once

#include <cstdint>

#include "common/model_spec/model_spec.h"

namespace longspan {

// Operations of one linear attention layer's recurrence, forward, per token:
// what stays inside a chunk of 64, what makes the state, what reads it.
struct LinearAttentionFlops {
  double intra = 0;
  double state = 0;
  double output = 0;

  double total() const { return intra + state + output; }
};
LinearAttentionFlops LinearFlopsPerToken(const LinearAttentionSpec& linear);

// Operations of softmax attention for one query and one key, forward.
double SoftmaxFlopsPerPair(const SoftmaxAttentionSpec& softmax);

// Floating-point operations of one forward pass for one token that stands at
// position context_tokens / 2 on average (only softmax layers depend on it).
double ForwardFlopsPerToken(const ModelSpec& spec, int64_t context_tokens);

// Forward and backward: three times the forward products.
double TrainFlopsPerToken(const ModelSpec& spec, int64_t context_tokens);

}  // namespace longspan
