// Adds the ranks' contributions in rank order, element by element:
//
//   out[i] = ((parts[0][i] + parts[1][i]) + parts[2][i]) + ...
//
// (or the maximum), so the result depends on rank numbers only. `out` may be
// the memory of one of the parts, but may not overlap one otherwise.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/api/tensor_view.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

// f32, f64 or i64; anything else breaks an invariant (check before).
void ReduceInRankOrder(absl::Span<const void* const> parts, void* out,
                       kernels::DType dtype, int64_t count,
                       Reduction reduction);

}  // namespace longspan::worker
