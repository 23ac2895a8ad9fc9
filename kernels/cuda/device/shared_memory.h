#pragma once

#include "kernels/cuda/device/qualifiers.h"

#if LONGSPAN_CUDA_NATIVE
#include <cstdint>
#else
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// The block's dynamic shared memory: LaunchShape::shared_bytes bytes, aligned
// to 128, undefined (emulated: NaN) when the block starts. Kernels carve it by
// constexpr offsets; there is no static shared memory.

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE unsigned char* SharedMemory() {
  extern __shared__ __align__(128) unsigned char longspan_shared_memory[];
  return longspan_shared_memory;
}

// The 32-bit address that PTX instructions on shared memory take.
LONGSPAN_DEVICE uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

#else

LONGSPAN_DEVICE unsigned char* SharedMemory() {
  return emulated::current_thread->shared;
}

#endif

}  // namespace longspan::kernels::cuda
