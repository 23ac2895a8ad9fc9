#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"
#include "kernels/cuda/device/shared_memory.h"

#if !LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// ldmatrix.sync.aligned.m8n8.b16: two or four 8x8 matrices of 16-bit elements
// from shared memory, by all lanes of a warp. Lane 8 i + r hands in the
// address (a multiple of 16) of row r of matrix i; with two matrices only
// lanes 0 to 15 are read. Lane l gets, as r[i], of matrix i the elements
//
//   plain       [l / 4][2 (l % 4)] low half, [l / 4][2 (l % 4) + 1] high half
//   Transposed  [2 (l % 4)][l / 4] low half, [2 (l % 4) + 1][l / 4] high half
//
// The operands of MmaBf16 (kernels/cuda/device/mma.h) from tiles in shared
// memory: A stored [m][k] by LoadMatrix4 with matrices ordered (rows 0-7, k
// 0-7), (rows 8-15, k 0-7), (rows 0-7, k 8-15), (rows 8-15, k 8-15); B stored
// [n][k] by LoadMatrix2 with matrices (k 0-7), (k 8-15); B stored [k][n] by
// LoadMatrix2Transposed with the same order.

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE void LoadMatrix4(uint32_t (&r)[4], const void* shared_row) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
      : "r"(SharedAddress(shared_row))
      : "memory");
}
LONGSPAN_DEVICE void LoadMatrix4Transposed(uint32_t (&r)[4],
                                           const void* shared_row) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
      : "r"(SharedAddress(shared_row))
      : "memory");
}
LONGSPAN_DEVICE void LoadMatrix2(uint32_t (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(SharedAddress(shared_row))
               : "memory");
}
LONGSPAN_DEVICE void LoadMatrix2Transposed(uint32_t (&r)[2],
                                           const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(SharedAddress(shared_row))
               : "memory");
}

#else

LONGSPAN_DEVICE void LoadMatrix4(
    uint32_t (&r)[4], const void* shared_row,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->LoadMatrix(r, 4, false, shared_row, site);
}
LONGSPAN_DEVICE void LoadMatrix4Transposed(
    uint32_t (&r)[4], const void* shared_row,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->LoadMatrix(r, 4, true, shared_row, site);
}
LONGSPAN_DEVICE void LoadMatrix2(
    uint32_t (&r)[2], const void* shared_row,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->LoadMatrix(r, 2, false, shared_row, site);
}
LONGSPAN_DEVICE void LoadMatrix2Transposed(
    uint32_t (&r)[2], const void* shared_row,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->LoadMatrix(r, 2, true, shared_row, site);
}

#endif

}  // namespace longspan::kernels::cuda
