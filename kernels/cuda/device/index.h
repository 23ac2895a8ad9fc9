#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// Who this thread is. Blocks and grids have one dimension; a grid has up to
// 2^31 - 1 blocks, and what is computed from BlockIndex() is 64 bits wide.

namespace longspan::kernels::cuda {

inline constexpr int kWarpThreads = 32;

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE int ThreadIndex() { return static_cast<int>(threadIdx.x); }
LONGSPAN_DEVICE int BlockThreads() { return static_cast<int>(blockDim.x); }
LONGSPAN_DEVICE int64_t BlockIndex() { return blockIdx.x; }
LONGSPAN_DEVICE int64_t BlockCount() { return gridDim.x; }
LONGSPAN_DEVICE int LaneIndex() { return ThreadIndex() % kWarpThreads; }
LONGSPAN_DEVICE int WarpIndex() { return ThreadIndex() / kWarpThreads; }

#else

LONGSPAN_DEVICE int ThreadIndex() { return emulated::current_thread->thread; }
LONGSPAN_DEVICE int BlockThreads() {
  return emulated::current_thread->block_threads;
}
LONGSPAN_DEVICE int64_t BlockIndex() { return emulated::current_thread->block; }
LONGSPAN_DEVICE int64_t BlockCount() {
  return emulated::current_thread->blocks;
}
LONGSPAN_DEVICE int LaneIndex() { return emulated::current_thread->lane; }
LONGSPAN_DEVICE int WarpIndex() { return emulated::current_thread->warp; }

#endif

}  // namespace longspan::kernels::cuda
