#pragma once

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// Barriers. Each orders the shared and global accesses of the threads it
// joins: what one wrote before it, the others read after it.
//
//   SyncBlock             bar.sync 0: every thread of the block, none exited
//   SyncWarp              bar.warp.sync: all 32 threads of the warp
//   SyncNamed(id, count)  bar.sync id, count: `count` threads, whole warps;
//                         id 1 to 15

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE void SyncBlock() { __syncthreads(); }
LONGSPAN_DEVICE void SyncWarp() { __syncwarp(); }
LONGSPAN_DEVICE void SyncNamed(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

#else

LONGSPAN_DEVICE void SyncBlock(
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->SyncBlock(site);
}
LONGSPAN_DEVICE void SyncWarp(
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->SyncWarp(site);
}
LONGSPAN_DEVICE void SyncNamed(
    int id, int threads,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->SyncNamed(id, threads, site);
}

#endif

}  // namespace longspan::kernels::cuda
