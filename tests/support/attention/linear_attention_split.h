// A sequence cut into ranges that exchange summaries, as ranks do (LASP-2).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/linear_attention.h"
#include "kernels/cost/backend_kind.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {

// The problem's outputs and gradients, range by range: `cuts` are 0, the first
// token of every later range, and the number of tokens. Each range summarises,
// folds the summaries of those before it (or behind it), and computes its own
// outputs and gradients. The summaries stay empty in the results.
LinearAttentionResults RunInRanges(const LinearAttentionProblem& problem,
                                   LinearAttention& op, Stream& stream,
                                   BackendKind backend,
                                   const std::vector<int64_t>& cuts,
                                   Passes passes);

}  // namespace longspan::kernels
