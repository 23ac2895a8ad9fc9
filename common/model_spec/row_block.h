// The size of the row blocks in which a layer does its row-by-row work.
//
// Norms, projections and the MLP need no other token, so a layer runs all of
// them on one block of rows after the other: what one step writes the next
// still finds in the cache, and scratch does not grow with the sequence. The
// size depends on the model alone, so results depend on nothing else.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/model_spec/model_spec.h"

namespace longspan {

// Enough rows that a matrix product pays for reading its weights.
inline int64_t RowBlockSize(const ModelSpec& spec) {
  return std::max<int64_t>(256, spec.hidden_size);
}

}  // namespace longspan
