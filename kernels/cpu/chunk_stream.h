// Which results of a walk are stored past the caches.
#pragma once

#include "kernels/cpu/simd.h"

namespace longspan::kernels::LONGSPAN_ISA {

// About an L2 cache. What is larger will not be found there by its reader, and
// written through the cache it would be fetched first and push out the states.
inline constexpr int64_t kStreamedBytes = int64_t{2} << 20;

// `result` is a LinearAttentionSequence<T>::Result of `tokens` rows; one that
// keeps a chunk stays in the caches.
template <typename Result>
bool IsStreamed(const Result& result, int64_t tokens) {
  constexpr int64_t kElement = sizeof(*result.data);
  constexpr int64_t kLine = 64;
  const int64_t row_bytes = result.stride * kElement;
  return result.kept < 0 && tokens * row_bytes >= kStreamedBytes &&
         row_bytes % kLine == 0 &&
         reinterpret_cast<uintptr_t>(result.data) % kLine == 0;
}

}  // namespace longspan::kernels::LONGSPAN_ISA
