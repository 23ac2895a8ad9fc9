// Whole numbers of blocks and units, for a >= 0 and a unit > 0.
#pragma once

#include <cstdint>

namespace longspan {

// ceil(a / b)
constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The least multiple of `unit` that is at least `a`.
constexpr int64_t RoundUp(int64_t a, int64_t unit) {
  return CeilDiv(a, unit) * unit;
}

}  // namespace longspan
