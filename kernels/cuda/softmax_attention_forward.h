// Forward softmax attention: one block per tile of query rows, walking over the
// tiles of keys that these rows see (FlashAttention-2, arXiv 2307.08691).
//
//     S = Q K^T    m' = max(m, row max S)    P = exp2(c S - c m')
//     l = l exp2(c m - c m') + row sum P     O = O exp2(c m - c m') + P V
//
// with c = scale * log2(e); at the end o = O / l, lse = ln2 (c m + log2 l). S,
// P and O stay in registers. V of a tile arrives while S is computed, K of the
// next one during P V.
#pragma once

#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/softmax_attention_params.h"
#include "kernels/cuda/softmax_attention_ranges.h"
#include "kernels/cuda/softmax_attention_tiles.h"

namespace longspan::kernels::cuda {

inline constexpr float kMinusInfinity = -__builtin_huge_valf();
inline constexpr float kLn2 = 0.693147180559945309f;

template <int kHeadDim, int kPlaneCount, int kWarpRowCount>
struct ForwardTile {
  static constexpr int kDim = kHeadDim;
  static constexpr int kPlanes = kPlaneCount;
  static constexpr int kWarpRows = kWarpRowCount;
  static constexpr int kRowTiles = kWarpRows / 16;
  static constexpr CudaAttentionTile kSizes =
      CudaAttentionForwardTile(kDim, kPlanes, kWarpRows);
  static constexpr int kRows = kSizes.rows;
  static constexpr int kColumns = kSizes.columns;
  // Shared memory.
  static constexpr int kKeys = kPlanes * kPlaneBytes<kDim, kRows>;
  static constexpr int kValues = kKeys + kPlanes * kPlaneBytes<kDim, kColumns>;
  static constexpr int kRanges =
      kValues + kPlanes * kPlaneBytes<kDim, kColumns>;
  static_assert(kRanges + 8 * kRows == kSizes.shared_bytes);

  using Scores = float[kRowTiles][kColumns / 8][4];
  using Packed = PackedScores<kPlanes, kColumns / 8>[kRowTiles];
  using Sums = float[kRowTiles][kDim / 8][4];
  using PerRow = float[kRowTiles][2];  // a lane's rows: LaneRow
};

// What a block computes. It lives through the walk in registers: 32 bits each,
// and what can be computed again is not kept.
struct ForwardBlock {
  int batch;
  int head;        // the first of the packed ones
  int first_row;   // of the unit
  int tile_begin;  // tiles of keys
  int tile_end;
};

LONGSPAN_DEVICE int SplitOfBlock(const SoftmaxForwardParams& p) {
  return static_cast<int>(BlockIndex() % p.splits);
}

LONGSPAN_DEVICE AttentionRange KeysOfRow(const SoftmaxForwardParams& p,
                                         int row) {
  const int last = p.rows - 1;
  return KeysOfQuery(p.shape.visible,
                     (row < last ? row : last) / p.packed_heads);
}

template <typename Tile>
LONGSPAN_DEVICE ForwardBlock FindForwardBlock(const SoftmaxForwardParams& p) {
  ForwardBlock block;
  const int split = SplitOfBlock(p);
  const AttentionPlace place =
      PlaceOfBlock(p.shape.order, BlockIndex() / p.splits);
  const int units_per_batch = p.shape.heads / p.packed_heads;
  block.batch = static_cast<int>(place.unit / units_per_batch);
  block.head = static_cast<int>(place.unit % units_per_batch) * p.packed_heads;
  block.first_row = place.row_tile * Tile::kRows;
  const int begin = KeysOfRow(p, block.first_row).begin;
  const int end = KeysOfRow(p, block.first_row + Tile::kRows - 1).end;
  const int first_tile = begin / Tile::kColumns;
  const int64_t tiles =
      end > begin ? (end - 1) / Tile::kColumns + 1 - first_tile : 0;
  block.tile_begin = first_tile + static_cast<int>(tiles * split / p.splits);
  block.tile_end =
      first_tile + static_cast<int>(tiles * (split + 1) / p.splits);
  return block;
}

// ---- Masks -----------------------------------------------------------------

// Each row's range of keys in shared memory, where tiles on the border of the
// mask look it up.
template <typename Tile>
LONGSPAN_DEVICE void StoreRanges(const SoftmaxForwardParams& p, int first_row) {
  AttentionRange* ranges =
      reinterpret_cast<AttentionRange*>(SharedMemory() + Tile::kRanges);
  for (int row = ThreadIndex(); row < Tile::kRows;
       row += kCudaAttentionThreads) {
    ranges[row] = KeysOfRow(p, first_row + row);
  }
}

// What the warp's rows see.
template <typename Tile>
LONGSPAN_DEVICE AttentionSpan SpanOfWarp(int warp_row) {
  const AttentionRange* ranges =
      reinterpret_cast<const AttentionRange*>(SharedMemory() + Tile::kRanges);
  return SpanOfRows(ranges[warp_row], ranges[warp_row + Tile::kWarpRows - 1]);
}

template <typename Tile>
LONGSPAN_DEVICE void MaskScores(typename Tile::Scores& scores, int warp_row,
                                int first_key) {
  const AttentionRange* ranges =
      reinterpret_cast<const AttentionRange*>(SharedMemory() + Tile::kRanges);
  LONGSPAN_UNROLL
  for (int m = 0; m < Tile::kRowTiles; ++m) {
    LONGSPAN_UNROLL
    for (int half = 0; half < 2; ++half) {
      const AttentionRange keys = ranges[warp_row + LaneRow(m, half)];
      LONGSPAN_UNROLL
      for (int i = 0; i < Tile::kColumns / 4; ++i) {
        const int key = first_key + i / 2 * 8 + LaneIndex() % 4 * 2 + i % 2;
        if (key < keys.begin || key >= keys.end) {
          scores[m][i / 2][2 * half + i % 2] = kMinusInfinity;
        }
      }
    }
  }
}

// ---- Softmax ---------------------------------------------------------------

LONGSPAN_DEVICE float QuadMax(float x) {
  x = fmaxf(x, ShuffleXor(x, 1));
  return fmaxf(x, ShuffleXor(x, 2));
}

LONGSPAN_DEVICE float QuadSum(float x) {
  x += ShuffleXor(x, 1);
  return x + ShuffleXor(x, 2);
}

// One row of a lane: scores become exponentials, maximum and sum move on.
// Returns what earlier sums are to be multiplied with. `sum` is the lane's
// share of the row sum.
template <int kPlanes, int kTiles>
LONGSPAN_DEVICE float ExponentiateRow(const float (&scores)[kTiles][4],
                                      int half, float scale_log2, float& max,
                                      float& sum,
                                      PackedScores<kPlanes, kTiles>& packed) {
  float row_max = kMinusInfinity;
  LONGSPAN_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    row_max =
        fmaxf(row_max, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
  }
  row_max = fmaxf(max, QuadMax(row_max));
  // A row that has seen no key yet: all its scores are -infinity.
  const float base = row_max == kMinusInfinity ? 0.0f : row_max * scale_log2;
  const float correction = Exp2(max * scale_log2 - base);
  float row_sum = 0.0f;
  LONGSPAN_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    const float low = Exp2(scores[n][2 * half] * scale_log2 - base);
    const float high = Exp2(scores[n][2 * half + 1] * scale_log2 - base);
    row_sum += low;
    row_sum += high;
    PackPair(packed, n, half, low, high);
  }
  max = row_max;
  sum = sum * correction + row_sum;
  return correction;
}

template <typename Tile>
LONGSPAN_DEVICE void Exponentiate(const typename Tile::Scores& scores,
                                  float scale_log2, typename Tile::PerRow& max,
                                  typename Tile::PerRow& sum,
                                  typename Tile::Sums& o,
                                  typename Tile::Packed& packed) {
  LONGSPAN_UNROLL
  for (int m = 0; m < Tile::kRowTiles; ++m) {
    LONGSPAN_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float correction = ExponentiateRow(
          scores[m], half, scale_log2, max[m][half], sum[m][half], packed[m]);
      LONGSPAN_UNROLL
      for (int n = 0; n < Tile::kDim / 8; ++n) {
        o[m][n][2 * half] *= correction;
        o[m][n][2 * half + 1] *= correction;
      }
    }
  }
}

// ---- Results ---------------------------------------------------------------

// The row's factor 1 / l for o (0 where it saw no key) in `sum`, its base-2
// log-sum-exp in `max`.
template <typename Tile>
LONGSPAN_DEVICE void FinishRows(float scale_log2, typename Tile::PerRow& max,
                                typename Tile::PerRow& sum) {
  LONGSPAN_UNROLL
  for (int m = 0; m < Tile::kRowTiles; ++m) {
    LONGSPAN_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float total = QuadSum(sum[m][half]);
      max[m][half] = total > 0.0f ? max[m][half] * scale_log2 + Log2(total)
                                  : kMinusInfinity;
      sum[m][half] = total > 0.0f ? 1.0f / total : 0.0f;
    }
  }
}

LONGSPAN_DEVICE void StoreLse(const SoftmaxForwardParams& p, int64_t batch,
                              int64_t head, int row, float log_sum) {
  p.lse[batch * p.lse_batch_stride +
        (head + row % p.packed_heads) * p.lse_head_stride +
        row / p.packed_heads] = log_sum * kLn2;
}

template <typename Tile>
LONGSPAN_DEVICE void StoreOutputs(const SoftmaxForwardParams& p,
                                  const ForwardBlock& block, int warp_row,
                                  const typename Tile::Sums& o,
                                  const typename Tile::PerRow& factor,
                                  const typename Tile::PerRow& log_sum) {
  const AttentionOperand target = {p.o.data, p.o.batch_stride, p.o.token_stride,
                                   p.o.head_stride};
  StoreRows<Tile::kDim, Tile::kPlanes, Tile::kRowTiles>(
      SharedMemory(), warp_row, o, factor,
      RowsOf<Tile::kPlanes>(target, block.batch, block.head, p.packed_heads,
                            p.shape.visible.query_tokens),
      block.first_row + warp_row, p.shape.head_dim, p.shape.vectors);
  LONGSPAN_UNROLL
  for (int i = 0; i < 2 * Tile::kRowTiles; ++i) {
    const int row = block.first_row + warp_row + LaneRow(i / 2, i % 2);
    if (LaneIndex() % 4 == 0 && row < p.rows) {
      StoreLse(p, block.batch, block.head, row, log_sum[i / 2][i % 2]);
    }
  }
}

// A split's share into the workspace.
template <typename Tile>
LONGSPAN_DEVICE void StorePartials(const SoftmaxForwardParams& p,
                                   const ForwardBlock& block, int warp_row,
                                   const typename Tile::Sums& o,
                                   const typename Tile::PerRow& factor,
                                   const typename Tile::PerRow& log_sum) {
  const int64_t unit = int64_t{block.batch} * (p.shape.heads / p.packed_heads) +
                       block.head / p.packed_heads;
  const int64_t base = (SplitOfBlock(p) * p.shape.order.units + unit) * p.rows;
  LONGSPAN_UNROLL
  for (int i = 0; i < 2 * Tile::kRowTiles; ++i) {
    const int row = block.first_row + warp_row + LaneRow(i / 2, i % 2);
    if (row >= p.rows) continue;
    StoreFloats<Tile::kDim>(p.partial_o + (base + row) * Tile::kDim, o[i / 2],
                            i % 2, factor[i / 2][i % 2], Tile::kDim);
    if (LaneIndex() % 4 == 0) {
      p.partial_log_sum[base + row] = log_sum[i / 2][i % 2];
    }
  }
}

// ---- The walk --------------------------------------------------------------

template <typename Tile>
LONGSPAN_DEVICE void WalkKeys(const SoftmaxForwardParams& p,
                              const ForwardBlock& block, int warp_row,
                              typename Tile::PerRow& max,
                              typename Tile::PerRow& sum,
                              typename Tile::Sums& o) {
  constexpr int kDim = Tile::kDim, kPlanes = Tile::kPlanes;
  constexpr int kColumns = Tile::kColumns, kThreads = kCudaAttentionThreads;
  constexpr bool kElements = Tile::kWarpRows == 16;
  unsigned char* const queries = SharedMemory();
  unsigned char* const keys = SharedMemory() + Tile::kKeys;
  unsigned char* const values = SharedMemory() + Tile::kValues;
  const AttentionShapeParams& shape = p.shape;
  const int key_tokens = shape.visible.key_tokens;
  const AttentionRows k = RowsOf<kPlanes>(
      p.k, block.batch, block.head / shape.group, 1, key_tokens);
  const AttentionRows v = RowsOf<kPlanes>(
      p.v, block.batch, block.head / shape.group, 1, key_tokens);
  const bool has_rows = block.first_row + warp_row < p.rows;

  LoadTile<kDim, kPlanes, Tile::kRows, kThreads>(
      queries,
      RowsOf<kPlanes>(p.q, block.batch, block.head, p.packed_heads,
                      shape.visible.query_tokens),
      block.first_row, shape.head_dim, shape.vectors);
  LoadTile<kDim, kPlanes, kColumns, kThreads, kElements>(
      keys, k, block.tile_begin * kColumns, shape.head_dim, shape.vectors);
  CopyAsyncCommit();
  for (int tile = block.tile_begin; tile < block.tile_end; ++tile) {
    const int first_key = tile * kColumns;
    CopyAsyncWait<0>();
    SyncBlock();  // K is here, V's place is free
    LoadTile<kDim, kPlanes, kColumns, kThreads, kElements>(
        values, v, first_key, shape.head_dim, shape.vectors);
    CopyAsyncCommit();
    const AttentionSpan span = SpanOfWarp<Tile>(warp_row);
    const bool sees =
        has_rows && first_key < span.end && first_key + kColumns > span.begin;
    typename Tile::Scores scores;
    if (sees) {
      MultiplyRows<kDim, kPlanes, Tile::kRows>(scores, queries, warp_row, keys);
      if (first_key < span.all_begin || first_key + kColumns > span.all_end) {
        MaskScores<Tile>(scores, warp_row, first_key);
      }
    }
    CopyAsyncWait<0>();
    SyncBlock();  // V is here, K's place is free
    if (tile + 1 < block.tile_end) {
      LoadTile<kDim, kPlanes, kColumns, kThreads, kElements>(
          keys, k, first_key + kColumns, shape.head_dim, shape.vectors);
      CopyAsyncCommit();
    }
    if (sees) {
      typename Tile::Packed packed;
      Exponentiate<Tile>(scores, shape.scale_log2, max, sum, o, packed);
      MultiplyScores<kDim, kPlanes>(o, packed, values);
    }
  }
}

template <int kDim, int kPlanes, int kWarpRows>
LONGSPAN_KERNEL(kCudaAttentionThreads,
                CudaAttentionForwardBlocks(kDim, kPlanes, kWarpRows))
SoftmaxForwardKernel(const SoftmaxForwardParams p) {
  using Tile = ForwardTile<kDim, kPlanes, kWarpRows>;
  const ForwardBlock block = FindForwardBlock<Tile>(p);
  const int warp_row = WarpIndex() * kWarpRows;
  typename Tile::PerRow max, sum;
  typename Tile::Sums o;
  LONGSPAN_UNROLL
  for (int m = 0; m < Tile::kRowTiles; ++m) {
    max[m][0] = max[m][1] = kMinusInfinity;
    sum[m][0] = sum[m][1] = 0.0f;
    LONGSPAN_UNROLL
    for (int i = 0; i < kDim / 2; ++i) o[m][i / 4][i % 4] = 0.0f;
  }
  if (block.tile_begin < block.tile_end) {
    StoreRanges<Tile>(p, block.first_row);
    WalkKeys<Tile>(p, block, warp_row, max, sum, o);
  }
  FinishRows<Tile>(p.shape.scale_log2, max, sum);
  if (p.splits == 1) {
    StoreOutputs<Tile>(p, block, warp_row, o, sum, max);
  } else {
    StorePartials<Tile>(p, block, warp_row, o, sum, max);
  }
}

}  // namespace longspan::kernels::cuda
