// Backward softmax attention without atomics, in three passes:
//
//   rows     delta_i = sum_c o_ic do_ic, and lse_i in base 2
//   keys     a block per tile of keys walks over the queries that see it, of
//            all query heads of its key head:
//                P = exp2(c S - lse)         dV += P^T dO
//                dS = P (dO V^T - delta)     dK += dS^T Q
//   queries  a block per tile of queries walks over the keys:  dQ += dS K
//
// S and dO V^T are computed by both walks: 7 products where one walk over all
// would have 5. That one would add dQ up across blocks: by atomics, in an order
// that differs from run to run; or in f32 partials of the size of Tq x Tk / 64
// rows; or block after block in turn, which idles the chip at a causal mask.
// Two walks write every result once, in the operands' type, in fixed order.
//
// The keys pass holds scores transposed (keys are rows), so that P^T and dS^T
// are left operands without leaving registers. A query that does not exist is
// a row of zeros in Q, dO, lse and delta, and adds zero.
#pragma once

#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/softmax_attention_params.h"
#include "kernels/cuda/softmax_attention_ranges.h"
#include "kernels/cuda/softmax_attention_tiles.h"

namespace longspan::kernels::cuda {

template <int kHeadDim, int kPlaneCount>
struct BackwardTile {
  static constexpr int kDim = kHeadDim;
  static constexpr int kPlanes = kPlaneCount;
  static constexpr CudaAttentionTile kSizes =
      CudaAttentionBackwardTile(kDim, kPlanes);
  static constexpr int kRows = kSizes.rows;
  static constexpr int kColumns = kSizes.columns;
  static constexpr int kStages = kSizes.stages;
  static constexpr int kTiles = kColumns / 8;
  // Shared memory: two operands of rows, then per stage two of columns, then
  // per stage two numbers per column.
  static constexpr int kRowBytes = kPlanes * kPlaneBytes<kDim, kRows>;
  static constexpr int kColumnBytes = kPlanes * kPlaneBytes<kDim, kColumns>;
  static constexpr int kStage = 2 * kRowBytes;
  static constexpr int kNumbers = kStage + 2 * kStages * kColumnBytes;
  static_assert(kNumbers + 8 * kStages * kColumns == kSizes.shared_bytes);

  using Scores = float[1][kTiles][4];
  using Packed = PackedScores<kPlanes, kTiles>[1];
  using Sums = float[1][kDim / 8][4];
};

template <typename Tile>
LONGSPAN_DEVICE unsigned char* ColumnTile(int stage, int operand) {
  return SharedMemory() + Tile::kStage +
         (2 * stage + operand) * Tile::kColumnBytes;
}

template <typename Tile>
LONGSPAN_DEVICE float* ColumnNumbers(int stage, int which) {
  return reinterpret_cast<float*>(SharedMemory() + Tile::kNumbers) +
         (2 * stage + which) * Tile::kColumns;
}

template <typename Tile>
LONGSPAN_DEVICE void LoadRowTile(const SoftmaxBackwardParams& p, int operand,
                                 const AttentionRows& rows, int first) {
  LoadTile<Tile::kDim, Tile::kPlanes, Tile::kRows, kCudaAttentionThreads>(
      SharedMemory() + operand * Tile::kRowBytes, rows, first, p.shape.head_dim,
      p.shape.vectors);
}

template <typename Tile>
LONGSPAN_DEVICE void LoadColumnTile(const SoftmaxBackwardParams& p, int stage,
                                    int operand, const AttentionRows& rows,
                                    int first) {
  LoadTile<Tile::kDim, Tile::kPlanes, Tile::kColumns, kCudaAttentionThreads>(
      ColumnTile<Tile>(stage, operand), rows, first, p.shape.head_dim,
      p.shape.vectors);
}

// Runs load(i, stage) and then compute(i, stage) for i in [0, count), with the
// next load under way while one is computed where there are two stages.
template <typename Tile, typename Load, typename Compute>
LONGSPAN_DEVICE void WalkColumns(int64_t count, const Load& load,
                                 const Compute& compute) {
  if (count <= 0) return;
  if constexpr (Tile::kStages == 2) {
    load(int64_t{0}, 0);
    CopyAsyncCommit();
  }
  for (int64_t i = 0; i < count; ++i) {
    const int stage = Tile::kStages == 2 ? static_cast<int>(i % 2) : 0;
    if constexpr (Tile::kStages == 2) {
      CopyAsyncWait<0>();
      SyncBlock();  // this stage is here, the other one is free
      if (i + 1 < count) load(i + 1, 1 - stage);
      CopyAsyncCommit();
    } else {
      SyncBlock();  // the stage is free
      load(i, stage);
      CopyAsyncCommit();
      CopyAsyncWait<0>();
      SyncBlock();  // and here
    }
    compute(i, stage);
  }
}

// One result of the warp's 16 rows, through row operand `operand`, of which no
// other warp reads these rows.
template <typename Tile>
LONGSPAN_DEVICE void StoreGradient(const SoftmaxBackwardParams& p, int operand,
                                   const typename Tile::Sums& sums,
                                   float factor, const AttentionResult& result,
                                   int64_t batch, int64_t head, int tokens,
                                   int first, int warp_row) {
  const AttentionOperand target = {result.data, result.batch_stride,
                                   result.token_stride, result.head_stride};
  const float factors[1][2] = {{factor, factor}};
  StoreRows<Tile::kDim, Tile::kPlanes, 1>(
      SharedMemory() + operand * Tile::kRowBytes, warp_row, sums, factors,
      RowsOf<Tile::kPlanes>(target, batch, head, 1, tokens), first + warp_row,
      p.shape.head_dim, p.shape.vectors);
}

template <typename Tile>
LONGSPAN_DEVICE void ClearSums(typename Tile::Sums& sums) {
  LONGSPAN_UNROLL
  for (int i = 0; i < Tile::kDim / 2; ++i) sums[0][i / 4][i % 4] = 0.0f;
}

// A tile of columns [first, first + kColumns) against what rows see.
template <typename Tile>
LONGSPAN_DEVICE bool SeesTile(const AttentionSpan& span, int first) {
  return first < span.end && first + Tile::kColumns > span.begin;
}
template <typename Tile>
LONGSPAN_DEVICE bool NeedsMask(const AttentionSpan& span, int first) {
  return first < span.all_begin || first + Tile::kColumns > span.all_end;
}

// Probabilities of columns outside a lane's two rows' ranges become zero.
template <typename Tile>
LONGSPAN_DEVICE void MaskProbabilities(typename Tile::Scores& scores,
                                       const AttentionRange (&sees)[2],
                                       int first) {
  LONGSPAN_UNROLL
  for (int i = 0; i < Tile::kColumns / 2; ++i) {
    const int half = i % 4 / 2;
    const int column = first + i / 4 * 8 + LaneIndex() % 4 * 2 + i % 2;
    if (column < sees[half].begin || column >= sees[half].end) {
      scores[0][i / 4][i % 4] = 0.0f;
    }
  }
}

template <typename Tile>
LONGSPAN_DEVICE void PackScores(const typename Tile::Scores& scores,
                                typename Tile::Packed& packed) {
  LONGSPAN_UNROLL
  for (int i = 0; i < 2 * Tile::kTiles; ++i) {
    PackPair(packed[0], i / 2, i % 2, scores[0][i / 2][i % 2 * 2],
             scores[0][i / 2][i % 2 * 2 + 1]);
  }
}

}  // namespace longspan::kernels::cuda
