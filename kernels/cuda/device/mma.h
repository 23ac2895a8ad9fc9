#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// D += A B by the lanes of one warp: mma.sync.aligned.m16n8k16.row.col with
// bf16 factors and f32 sums; A is 16 x 16, B 16 x 8, D 16 x 8. With g =
// lane / 4 and t = lane % 4 a lane holds (row, column; low half first)
//
//   a[0]  A(g, 2t), A(g, 2t+1)          a[1]  A(g+8, 2t), A(g+8, 2t+1)
//   a[2]  A(g, 2t+8), A(g, 2t+9)        a[3]  A(g+8, 2t+8), A(g+8, 2t+9)
//   b[0]  B(2t, g), B(2t+1, g)          b[1]  B(2t+8, g), B(2t+9, g)
//   d[0]  D(g, 2t)     d[1]  D(g, 2t+1)
//   d[2]  D(g+8, 2t)   d[3]  D(g+8, 2t+1)
//
// So two neighbouring D tiles, rounded by PackBf16, are an A operand: a[0] of
// (d0, d1), a[1] of (d2, d3) of the left one, a[2] and a[3] of the right one.

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE void MmaBf16(float (&d)[4], const uint32_t (&a)[4],
                             const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

LONGSPAN_DEVICE void MmaBf16(
    float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::current_thread->runner->MmaBf16(d, a, b, site);
}

#endif

}  // namespace longspan::kernels::cuda
