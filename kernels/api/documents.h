// Packed documents: several texts in one sequence that must not see each other.
#pragma once

#include <cstdint>

namespace longspan::kernels {

// Strictly increasing local token positions in [0, T) at which a document
// begins: the recurrent state is zero before that token, softmax attention and
// short convolution do not look across it. An empty list means one document
// that continues whatever came before token 0; a list that begins with 0
// ignores the incoming state. Allowed only with batch 1. Does not own.
struct Documents {
  const int64_t* starts = nullptr;
  int64_t count = 0;
  // The same numbers where the backend's ops read them; null on host backends.
  const int64_t* device_starts = nullptr;

  bool empty() const { return count == 0; }
};

}  // namespace longspan::kernels
