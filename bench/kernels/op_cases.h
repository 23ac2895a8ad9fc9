// The rest of cases.h: row ops with their backward, embedding, loss, optimiser,
// and what a generated token is made of.
#pragma once

#include <vector>

#include "bench/kernels/cases.h"

namespace longspan::bench {

// Over `rows` tokens of a model of hidden size kHidden, vocabulary 32000.
std::vector<Case> OpCases(kernels::BackendKind backend, kernels::DType dtype,
                          int64_t rows);
// One new token: of `slots` states, or after `keys` keys. Sizes shrink by
// `tokens_divisor`.
std::vector<Case> DecodeCases(kernels::BackendKind backend,
                              kernels::DType dtype, int64_t tokens_divisor);

}  // namespace longspan::bench
