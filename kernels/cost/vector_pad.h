// The padding of packed matrices: every instruction set's vectors divide it, so
// workspace sizes do not depend on the processor.
#pragma once

#include <cstdint>

namespace longspan::kernels {

inline constexpr int64_t kVectorPad = 16;

constexpr int64_t PadToVector(int64_t size) {
  return (size + kVectorPad - 1) / kVectorPad * kVectorPad;
}

}  // namespace longspan::kernels
