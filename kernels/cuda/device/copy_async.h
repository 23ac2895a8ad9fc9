#pragma once

#include "kernels/cuda/device/qualifiers.h"
#include "kernels/cuda/device/shared_memory.h"

#if !LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// Copies from global to shared memory that run beside the thread (cp.async).
//
//   CopyAsync16(shared, global, bytes)  16 bytes to shared memory, the first
//       `bytes` of them from global, the rest zeros (cp.async.cg: not through
//       L1). Both addresses are multiples of 16. bytes 0: global is not read.
//   CopyAsync4(shared, global, bytes)   the same with 4 (cp.async.ca), bytes 0
//       or 4
//   CopyAsyncCommit()                   closes this thread's group of copies
//   CopyAsyncWait<n>()                  until at most n of this thread's
//                                       newest groups are under way
//
// From the issue until the wait the shared bytes are undefined. The wait is
// for this thread's copies only: a barrier after it makes them visible to
// others, and a barrier before the issue ends their reading of what was there.

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE void CopyAsync16(void* shared, const void* global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(shared)),
      "l"(__cvta_generic_to_global(global))
      : "memory");
}
LONGSPAN_DEVICE void CopyAsync16(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   SharedAddress(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
LONGSPAN_DEVICE void CopyAsync4(void* shared, const void* global,
                                int bytes = 4) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(
                   SharedAddress(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
LONGSPAN_DEVICE void CopyAsyncCommit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kPending>
LONGSPAN_DEVICE void CopyAsyncWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

#else

LONGSPAN_DEVICE void CopyAsync16(
    void* shared, const void* global, int bytes = 16,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->CopyAsync(shared, global, 16, bytes, site);
}
LONGSPAN_DEVICE void CopyAsync4(
    void* shared, const void* global, int bytes = 4,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->CopyAsync(shared, global, 4, bytes, site);
}
LONGSPAN_DEVICE void CopyAsyncCommit(
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->CopyAsyncCommit(site);
}
template <int kPending>
void CopyAsyncWait(emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->CopyAsyncWait(kPending, site);
}

#endif

}  // namespace longspan::kernels::cuda
