// Operation counts of a model, per token, forward and backward together where
// nothing else is said. Useful operations only: what the mathematics needs,
// whatever the kernels do.
#pragma once

#include <cstdint>

#include "common/model_spec/model_spec.h"

namespace longspan {

// Floating-point operations of one forward pass for one token that stands at
// position context_tokens / 2 on average (only softmax layers depend on it).
double ForwardFlopsPerToken(const ModelSpec& spec, int64_t context_tokens);

// Forward and backward: three times the forward products.
double TrainFlopsPerToken(const ModelSpec& spec, int64_t context_tokens);

}  // namespace longspan
