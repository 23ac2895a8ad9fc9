// How the CUDA backend cuts a softmax-attention call into blocks, and its
// workspace: pure functions of the shape, so the planner, the kernels and the
// tests agree on them. They know no device: what is counted in processors
// counts kCudaPlanSms, so that sums run in one order everywhere.
#pragma once

#include <cstdint>

#include "kernels/cost/workspace.h"

namespace longspan::kernels {

inline constexpr int kCudaAttentionMaxHeadDim = 256;
inline constexpr int kCudaAttentionWarps = 4;
inline constexpr int kCudaAttentionThreads = 32 * kCudaAttentionWarps;

// A block's tile. `rows` stay with the block: queries forward and in the pass
// that makes d_q, keys in the pass that makes d_k and d_v. It walks over the
// other side `columns` at a time. `stages` tiles of columns are in flight.
struct CudaAttentionTile {
  int rows = 0;
  int columns = 0;
  int stages = 1;
  int shared_bytes = 0;
};

// Each warp has 16 or 32 rows. 32 halve the shared-memory reads per product,
// which bound the kernel at 16 (a key fragment then serves two products); 16
// leave registers for wide heads and f32, and waste less when queries are few.
// `planes` is 1 for bf16 and 2 for f32, held as two bf16 planes (high, low).
constexpr CudaAttentionTile CudaAttentionForwardTile(int padded_dim, int planes,
                                                     int warp_rows) {
  const int rows = kCudaAttentionWarps * warp_rows;
  // 64 keys; 32 where 32 rows of 128 leave no registers for more scores, and
  // where two planes of 256 would not fit 163 KB (sm_80).
  const bool narrow =
      padded_dim * planes > 256 || (padded_dim == 128 && warp_rows == 32);
  const int columns = narrow ? 32 : 64;
  // Q, one tile of K, one of V (K of the next tile arrives during P V), and the
  // first and last key of each row.
  return {rows, columns, 1,
          2 * planes * padded_dim * (rows + 2 * columns) + 8 * rows};
}

// Forward blocks that a processor runs at once; the kernels are compiled to
// that many registers.
constexpr int CudaAttentionForwardBlocks(int padded_dim, int planes,
                                         int warp_rows) {
  if (planes == 2) return padded_dim == 256 ? 1 : 2;
  if (padded_dim == 256 || warp_rows == 32) return 2;
  return padded_dim == 64 ? 3 : 2;
}

// Both backward passes: two operands of `rows`, two of `columns` per stage, and
// two numbers per column. 32 columns keep the two score tiles beside the
// accumulators of d_k and d_v in registers.
constexpr CudaAttentionTile CudaAttentionBackwardTile(int padded_dim,
                                                      int planes) {
  const int rows = kCudaAttentionWarps * 16;
  const int columns = padded_dim * planes > 256  ? 16
                      : padded_dim * planes > 64 ? 32
                                                 : 64;
  const int stages = planes == 1 ? 2 : 1;  // f32 is loaded by the threads
  return {rows, columns, stages,
          2 * planes * padded_dim * (2 * rows + 2 * stages * columns) +
              stages * columns * 8};
}

// Blocks take (unit, row tile) pairs, a unit being what shares keys and values:
// a (batch, head) pair, or (batch, key head) where `packed_heads` query heads
// are the rows of one tile.
//
// Order of blocks: units in sections of `section_units` whose keys and values
// stay in the L2 cache together; within a section tile by tile, and all units
// of a tile before the next. Causal masks put the most work into the last
// query tiles and the first key tiles, which therefore come first.
struct CudaAttentionGrid {
  CudaAttentionTile tile;
  int64_t units = 0;
  int64_t row_tiles = 0;
  int64_t section_units = 1;
  int64_t blocks = 0;  // units * row_tiles * splits
};

struct CudaAttentionForwardPlan {
  CudaAttentionGrid grid;
  int padded_dim = 0;  // 64, 128 or 256
  int planes = 1;
  int warp_rows = 16;
  int packed_heads = 1;
  // Few query rows cannot fill the chip: the keys of a tile are cut into
  // `splits` parts, each a block that leaves a normalised f32 output and its
  // log-sum-exp in the workspace; a second kernel joins them in fixed order.
  int splits = 1;
  int64_t rows = 0;            // of a unit: query_tokens * packed_heads
  int64_t output_offset = 0;   // workspace bytes, [splits, units, rows, pad]
  int64_t log_sum_offset = 0;  // [splits, units, rows] f32
  int64_t workspace_bytes = 0;
};

struct CudaAttentionBackwardPlan {
  CudaAttentionGrid by_key;    // units are (batch, key head)
  CudaAttentionGrid by_query;  // units are (batch, head)
  int padded_dim = 0;
  int planes = 1;
  // d_k and d_v in one walk; heads beyond 128 have no registers for both and
  // walk twice.
  bool keys_and_values_together = true;
  int64_t log_sum_offset = 0;  // workspace bytes, [B, H, Tq] f32
  int64_t delta_offset = 0;    // [B, H, Tq] f32
  int64_t workspace_bytes = 0;
};

// For shapes that the CUDA backend accepts: head_dim <= 256, element_bytes 2
// or 4.
CudaAttentionForwardPlan PlanCudaAttentionForward(
    const SoftmaxAttentionShape& shape);
// Where operands cannot be read 16 bytes at a time: 16 rows a warp, one split
// and no workspace.
CudaAttentionForwardPlan PlanCudaAttentionForwardByElements(
    const SoftmaxAttentionShape& shape);
CudaAttentionBackwardPlan PlanCudaAttentionBackward(
    const SoftmaxAttentionShape& shape);

// The same with `splits` given, for comparisons.
CudaAttentionForwardPlan PlanCudaAttentionForwardSplit(
    const SoftmaxAttentionShape& shape, int splits);

int64_t CudaSoftmaxAttentionWorkspaceBytes(bool backward,
                                           const SoftmaxAttentionShape& shape);

// What one call computes and moves at least. `visible_pairs` counts the
// (query, key) pairs that the mask lets through, of one head.
struct CudaAttentionCost {
  double useful_flops = 0;    // 4 D per pair forward, 10 D backward
  double executed_flops = 0;  // backward computes scores twice: 14 D
  double bytes = 0;           // every operand and result once
};
CudaAttentionCost CudaSoftmaxAttentionCost(bool backward,
                                           const SoftmaxAttentionShape& shape,
                                           double visible_pairs);

// Causal, query_offset = key_tokens - query_tokens.
double CausalPairs(const SoftmaxAttentionShape& shape);

// Seconds on an H200, from operations at the rate mma.sync is expected to reach
// (60 % of 790 TFLOP/s for products, times what shared memory leaves) and from
// bytes at 4.3 TB/s, whichever is longer.
double PredictCudaAttentionSeconds(bool backward,
                                   const SoftmaxAttentionShape& shape,
                                   double visible_pairs);

}  // namespace longspan::kernels
