#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/shared_memory.h"
#endif

// Integer sums in shared memory (atom.shared.add). The order of the threads is
// not fixed, and does not matter to integers; there is no form for floats.
//
//   AddShared(sum, value)   *sum += value, for uint32_t and uint64_t

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE void AddShared(uint32_t* sum, uint32_t value) {
  asm volatile("red.shared.add.u32 [%0], %1;" ::"r"(SharedAddress(sum)),
               "r"(value)
               : "memory");
}
LONGSPAN_DEVICE void AddShared(uint64_t* sum, uint64_t value) {
  asm volatile("red.shared.add.u64 [%0], %1;" ::"r"(SharedAddress(sum)),
               "l"(value)
               : "memory");
}

#else

LONGSPAN_DEVICE void AddShared(uint32_t* sum, uint32_t value) { *sum += value; }
LONGSPAN_DEVICE void AddShared(uint64_t* sum, uint64_t value) { *sum += value; }

#endif

}  // namespace longspan::kernels::cuda
