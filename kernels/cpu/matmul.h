// The matrix product on a thread pool, for the ops that contain one: oneDNN's
// sgemm for f32, our own register tiles for f64.
//
// oneDNN runs single-threaded inside each tile (nested OpenMP under contention
// collapses tenfold); tiles are chosen by shape alone (cost/matmul_tiles.h).
// Operands must have passed CheckMatMul.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/dense.h"
#include "kernels/cpu/thread_pool.h"

namespace longspan::kernels {

// Holds oneDNN to BestInstructionSet(), which decides the bits of its products
// too. Called when a backend is made; oneDNN listens only before its first use
// in the process.
void LimitOneDnn();

// kInternal names oneDNN's status if it refuses the product.
absl::Status MatMulOnPool(ConstTensorView a, ConstTensorView b, TensorView c,
                          const MatMulOptions& options, ThreadPool& pool);

}  // namespace longspan::kernels
