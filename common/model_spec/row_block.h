// The size of the row blocks in which a layer does its row-by-row work.
//
// Norms, projections and the MLP need no other token, so a layer runs all of
// them on one block of rows after the other: what one step writes the next
// still finds in the cache, and scratch does not grow with the sequence. The
// size depends on model and backend alone, so results depend on nothing else.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cost/backend_kind.h"

namespace longspan {

// Enough rows that a matrix product pays for reading its weights; on a GPU,
// whose caches hold no such block, enough to fill it.
inline int64_t RowBlockSize(int64_t hidden_size, kernels::BackendKind backend) {
  if (backend == kernels::BackendKind::kCuda) return int64_t{1} << 15;
  return std::max<int64_t>(256, hidden_size);
}

}  // namespace longspan
