// Bytes of an element by what it holds. Activations have the element size of
// the run (2: bf16, 4: f32, 8: f64); parameters, their gradients and moments,
// states, gates and sums are never narrower than f32.
#pragma once

#include <cstdint>

namespace longspan {

constexpr int64_t AccumulatorBytes(int64_t element_bytes) {
  return element_bytes < 4 ? 4 : element_bytes;
}

}  // namespace longspan
