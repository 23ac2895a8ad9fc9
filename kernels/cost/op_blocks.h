// Fixed cuts of the ops that sum over rows or elements, as pure functions of
// the shape; the workspace sizes of workspace.h follow from them.
#pragma once

#include <cstdint>

namespace longspan::kernels {

// Rows of logits that the fused cross-entropy head holds at once: about 1 MiB,
// so that a slab stays in the second-level cache, and never above 512 rows.
int64_t CrossEntropySlabRows(int64_t rows, int64_t vocabulary,
                             int64_t element_bytes);

// Partial sums of parameter gradients over rows: at least 64 rows each, and at
// most 64 of them.
int64_t RowSumBlocks(int64_t rows);

// Rows of such a block that are summed in the operands' type; longer sums are
// of those, in double.
inline constexpr int64_t kSumRows = 256;

// Workspace of `numbers` sums over rows (kernels/cpu/row_sums.h).
int64_t RowSumBytes(int64_t rows, int64_t numbers, int64_t element_bytes);

// Elements per partial sum of SumOfSquares.
inline constexpr int64_t kSquareBlock = 16384;

}  // namespace longspan::kernels
