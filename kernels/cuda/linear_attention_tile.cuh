// Tiles of linear attention: sizes, operands from shared memory, products.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/linear_attention_params.h"

namespace longspan::kernels::cuda {

// kYDim is Y padded; a block owns 16 columns of Z per warp. A general tile
// takes operands of either type and any alignment: it reads them element by
// element and keeps each as the sum of two bf16 planes, so that three products
// of planes give 16 bits of the f32 product.
template <int kYDimension, int kWarpCount, bool kIsGeneral>
struct LinearTile {
  static constexpr int kYDim = kYDimension;
  static constexpr int kWarps = kWarpCount;
  static constexpr bool kGeneral = kIsGeneral;
  static constexpr int kThreads = kWarps * kWarpThreads;
  static constexpr int kZTile = 16 * kWarps;
  static constexpr int kPlanes = kGeneral ? 2 : 1;
  static constexpr int kYRowBytes = 2 * kYDim;
  static constexpr int kZRowBytes = 2 * kZTile;
  static constexpr int kScoreRowBytes = 2 * kLinearChunk;
  static constexpr int kYPlaneBytes = kLinearChunk * kYRowBytes;
  static constexpr int kZPlaneBytes = kLinearChunk * kZRowBytes;
  static constexpr int kScorePlaneBytes = kLinearChunk * kScoreRowBytes;
  static constexpr int kYBytes = kPlanes * kYPlaneBytes;
  static constexpr int kZBytes = kPlanes * kZPlaneBytes;
  static constexpr int kScoreBytes = kPlanes * kScorePlaneBytes;

  static_assert(kYDim % 16 == 0 && kYDim <= 256, "whole k steps");
  static_assert(kWarps == 4 || kWarps == 8,
                "four rows of score tiles, one or two warps to a row");
};

// launch(tile) with the tile that the plan chose: host code.
template <class Launch>
absl::Status WithLinearTile(LinearTileKind kind, const Launch& launch) {
  switch (kind) {
    case LinearTileKind::kY64:
      return launch(LinearTile<64, 4, false>());
    case LinearTileKind::kY128:
      return launch(LinearTile<128, 8, false>());
    case LinearTileKind::kY256:
      return launch(LinearTile<256, 8, false>());
    case LinearTileKind::kGeneral64:
      return launch(LinearTile<64, 4, true>());
    case LinearTileKind::kGeneral128:
      return launch(LinearTile<128, 8, true>());
    case LinearTileKind::kGeneral256:
      return launch(LinearTile<256, 8, true>());
  }
  return absl::InternalError("linear attention has no such tile");
}

// Operands of one product step, all planes.
template <int kPlanes>
struct LeftFragment {
  uint32_t r[kPlanes][4];
};
// Two neighbouring right operands.
template <int kPlanes>
struct RightFragments {
  uint32_t r[kPlanes][4];
};

// d0, d1 += a b0, a b1 with a left operand of two planes and a right one of
// one.
LONGSPAN_DEVICE void MultiplyAdd(float (&d0)[4], float (&d1)[4],
                                 const LeftFragment<2>& a,
                                 const RightFragments<1>& b) {
  const uint32_t b0[2] = {b.r[0][0], b.r[0][1]};
  const uint32_t b1[2] = {b.r[0][2], b.r[0][3]};
  MmaBf16(d0, a.r[1], b0);
  MmaBf16(d1, a.r[1], b1);
  MmaBf16(d0, a.r[0], b0);
  MmaBf16(d1, a.r[0], b1);
}

// d0, d1 += a b0, a b1; the small products of planes first.
template <int kPlanes>
LONGSPAN_DEVICE void MultiplyAdd(float (&d0)[4], float (&d1)[4],
                                 const LeftFragment<kPlanes>& a,
                                 const RightFragments<kPlanes>& b) {
  LONGSPAN_UNROLL
  for (int plane = kPlanes - 1; plane >= 0; --plane) {
    const uint32_t b0[2] = {b.r[plane][0], b.r[plane][1]};
    const uint32_t b1[2] = {b.r[plane][2], b.r[plane][3]};
    if (kPlanes == 2 && plane == 0) {
      MmaBf16(d0, a.r[kPlanes - 1], b0);
      MmaBf16(d1, a.r[kPlanes - 1], b1);
    }
    MmaBf16(d0, a.r[0], b0);
    MmaBf16(d1, a.r[0], b1);
  }
}

// Splits two f32 into the planes of one register of a fragment.
template <int kPlanes>
LONGSPAN_DEVICE void SplitPair(float low, float high, uint32_t (&r)[kPlanes]) {
  r[0] = PackBf16(low, high);
  if constexpr (kPlanes == 2) {
    r[1] = PackBf16(low - LowFloat(r[0]), high - HighFloat(r[0]));
  }
}

// Rows m0.., columns k0.. of a tile stored [m][k].
template <int kPlanes, int kRowBytes, int kPlaneBytes>
LONGSPAN_DEVICE void LoadLeft(LeftFragment<kPlanes>& a,
                              const unsigned char* tile, int m0, int k0) {
  const int lane = LaneIndex();
  const uint32_t at =
      SwizzledOffset(m0 + lane % 16, k0 / 8 + lane / 16, kRowBytes);
  LONGSPAN_UNROLL
  for (int plane = 0; plane < kPlanes; ++plane) {
    LoadMatrix4(a.r[plane], tile + plane * kPlaneBytes + at);
  }
}

// The same of a tile stored [k][m].
template <int kPlanes, int kRowBytes, int kPlaneBytes>
LONGSPAN_DEVICE void LoadLeftTransposed(LeftFragment<kPlanes>& a,
                                        const unsigned char* tile, int m0,
                                        int k0) {
  const int lane = LaneIndex();
  const int matrix = lane / 8;
  const uint32_t at = SwizzledOffset(k0 + lane % 8 + 8 * (matrix / 2),
                                     m0 / 8 + matrix % 2, kRowBytes);
  LONGSPAN_UNROLL
  for (int plane = 0; plane < kPlanes; ++plane) {
    LoadMatrix4Transposed(a.r[plane], tile + plane * kPlaneBytes + at);
  }
}

// Columns n0 .. n0 + 15 of the right operand, from a tile stored [n][k].
template <int kPlanes, int kRowBytes, int kPlaneBytes>
LONGSPAN_DEVICE void LoadRight(RightFragments<kPlanes>& b,
                               const unsigned char* tile, int n0, int k0) {
  const int lane = LaneIndex();
  const int matrix = lane / 8;
  const uint32_t at = SwizzledOffset(n0 + lane % 8 + 8 * (matrix / 2),
                                     k0 / 8 + matrix % 2, kRowBytes);
  LONGSPAN_UNROLL
  for (int plane = 0; plane < kPlanes; ++plane) {
    LoadMatrix4(b.r[plane], tile + plane * kPlaneBytes + at);
  }
}

// The same from a tile stored [k][n].
template <int kPlanes, int kRowBytes, int kPlaneBytes>
LONGSPAN_DEVICE void LoadRightTransposed(RightFragments<kPlanes>& b,
                                         const unsigned char* tile, int n0,
                                         int k0) {
  const int lane = LaneIndex();
  const int matrix = lane / 8;
  const uint32_t at = SwizzledOffset(k0 + lane % 8 + 8 * (matrix % 2),
                                     n0 / 8 + matrix / 2, kRowBytes);
  LONGSPAN_UNROLL
  for (int plane = 0; plane < kPlanes; ++plane) {
    LoadMatrix4Transposed(b.r[plane], tile + plane * kPlaneBytes + at);
  }
}

// ---- where a block works ---------------------------------------------------

// The role, segment and columns of Z of a block. Blocks that read the same
// tokens are neighbours, so that they meet in the L2 cache.
struct BlockWork {
  int role;
  int z_tile;
  int64_t bh;
  int64_t b;
  int64_t h;
  int64_t segment;
};

// The blocks that BlockWorkOf tells apart: host code.
inline int64_t LinearBlocks(const LinearGrid& grid, int role_count,
                            int z_tiles) {
  return grid.segments * grid.batch * grid.heads * z_tiles * role_count;
}

LONGSPAN_DEVICE BlockWork BlockWorkOf(const LinearGrid& grid, int role_count,
                                      int z_tiles) {
  int64_t index = BlockIndex();
  BlockWork work;
  work.role = static_cast<int>(index % role_count);
  index /= role_count;
  work.z_tile = static_cast<int>(index % z_tiles);
  index /= z_tiles;
  const int64_t sequences = grid.batch * grid.heads;
  work.bh = index % sequences;
  work.segment = index / sequences;
  work.b = work.bh / grid.heads;
  work.h = work.bh % grid.heads;
  return work;
}

// The chunks of a segment, in the order of a walk.
struct ChunkWalk {
  int64_t begin;
  int64_t count;
  bool reverse;

  LONGSPAN_DEVICE int64_t Chunk(int64_t n) const {
    return reverse ? begin + count - 1 - n : begin + n;
  }
};

LONGSPAN_DEVICE ChunkWalk SegmentWalk(const LinearGrid& grid, int64_t segment,
                                      bool reverse) {
  const int64_t begin = segment * grid.segment_chunks;
  const int64_t left = grid.chunks - begin;
  return {begin, left < grid.segment_chunks ? left : grid.segment_chunks,
          reverse};
}

// The last segment that a walk over the range comes to.
LONGSPAN_DEVICE int64_t LastSegment(const LinearGrid& grid, bool reverse) {
  return reverse ? 0 : grid.segments - 1;
}

// Valid tokens of a chunk.
LONGSPAN_DEVICE int ChunkRows(const LinearGrid& grid, int64_t chunk) {
  const int64_t left = grid.tokens - chunk * kLinearChunk;
  return left < kLinearChunk ? static_cast<int>(left) : kLinearChunk;
}

LONGSPAN_DEVICE int64_t RowOffset(const TokenRows& rows, int64_t b, int64_t h,
                                  int64_t token) {
  return b * rows.stride_b + h * rows.stride_h + token * rows.stride_t;
}

// ---- global to shared ------------------------------------------------------

// 64 rows of bf16 from `from` into one plane; rows from `rows` on and columns
// from `cols` (a multiple of 8) on become zeros. Asynchronous.
template <int kRowBytes, int kThreads>
LONGSPAN_DEVICE void CopyRows(unsigned char* tile, const Bf16* from,
                              int64_t stride_t, int rows, int cols) {
  constexpr int kVectors = kRowBytes / 16;
  static_assert(kThreads % kVectors == 0, "a thread keeps its column");
  static_assert(kLinearChunk * kVectors % kThreads == 0, "whole rounds");
  const int column = ThreadIndex() % kVectors;
  const bool inside_columns = 8 * column < cols;
  LONGSPAN_NO_UNROLL
  for (int i = 0; i < kLinearChunk * kVectors / kThreads; ++i) {
    const int row = ThreadIndex() / kVectors + i * (kThreads / kVectors);
    const bool inside = inside_columns && row < rows;
    const Bf16* source = inside ? from + row * stride_t + 8 * column : from;
    CopyAsync16(tile + SwizzledOffset(row, column, kRowBytes), source,
                inside ? 16 : 0);
  }
}

LONGSPAN_DEVICE float LoadElement(const void* data, int64_t at, bool f32) {
  return f32 ? static_cast<const float*>(data)[at]
             : ToFloat(static_cast<const Bf16*>(data)[at]);
}

// The same into two planes, of any type, alignment and number of columns; the
// bytes are there when the call returns.
template <int kRowBytes, int kThreads>
LONGSPAN_DEVICE void SplitRows(unsigned char* tile, const void* data,
                               int64_t first, int64_t stride_t, int rows,
                               int cols, bool f32) {
  constexpr int kPairs = kRowBytes / 4;
  constexpr int kPlaneBytes = kLinearChunk * kRowBytes;
  for (int i = ThreadIndex(); i < kLinearChunk * kPairs; i += kThreads) {
    const int row = i / kPairs;
    const int col = 2 * (i % kPairs);
    const int64_t at = first + row * stride_t + col;
    const bool inside = row < rows;
    const float low = inside && col < cols ? LoadElement(data, at, f32) : 0.0f;
    const float high =
        inside && col + 1 < cols ? LoadElement(data, at + 1, f32) : 0.0f;
    uint32_t planes[2];
    SplitPair<2>(low, high, planes);
    unsigned char* to =
        tile + SwizzledOffset(row, col / 8, kRowBytes) + 2 * (col % 8);
    StoreVector4(to, {{planes[0]}});
    StoreVector4(to + kPlaneBytes, {{planes[1]}});
  }
}

// Rows of one operand of a chunk, columns col0 .. col0 + kRowBytes / 2.
template <class Tile, int kRowBytes>
LONGSPAN_DEVICE void StageRows(unsigned char* tile, const TokenRows& operand,
                               int64_t offset, int rows, int col0, int cols,
                               bool f32) {
  if constexpr (Tile::kGeneral) {
    SplitRows<kRowBytes, Tile::kThreads>(tile, operand.data, offset + col0,
                                         operand.stride_t, rows, cols - col0,
                                         f32);
  } else {
    CopyRows<kRowBytes, Tile::kThreads>(
        tile, static_cast<const Bf16*>(operand.data) + offset + col0,
        operand.stride_t, rows, cols - col0);
  }
}

template <class Tile>
LONGSPAN_DEVICE void StageTable(unsigned char* to, const DecayTable* from) {
  constexpr int kVectors = sizeof(DecayTable) / 16;
  static_assert(kVectors <= Tile::kThreads);
  const int i = ThreadIndex();
  if (i >= kVectors) return;
  const auto* source = reinterpret_cast<const unsigned char*>(from) + 16 * i;
  if constexpr (Tile::kGeneral) {
    StoreVector16(to + 16 * i, LoadVector16(source));
  } else {
    CopyAsync16(to + 16 * i, source);
  }
}

// ---- decays ----------------------------------------------------------------

// log2 of the decay from the chunk's start through token t, and from after t
// to the chunk's end; 0 where a reset lies between.
LONGSPAN_DEVICE float DecayFromStart(const DecayTable& table, int t) {
  return table.span[t] & DecayTable::kOpen ? Exp2(table.sum[t]) : 0.0f;
}
LONGSPAN_DEVICE float DecayToEnd(const DecayTable& table, int t) {
  constexpr int kLast = kLinearChunk - 1;
  const bool reaches = (table.span[t] >> 8 & 0xFF) == kLast;
  return reaches ? Exp2(table.sum[kLast] - table.sum[t]) : 0.0f;
}
LONGSPAN_DEVICE float DecayOfChunk(const DecayTable& table) {
  return DecayFromStart(table, kLinearChunk - 1);
}

// The weight of each token of Y in the state at the walk's end of the chunk.
LONGSPAN_DEVICE float ColumnDecay(const DecayTable& table, int t,
                                  bool reverse) {
  return reverse ? DecayFromStart(table, t) : DecayToEnd(table, t);
}
// The weight of the entering state in each row of the outputs.
LONGSPAN_DEVICE float RowDecay(const DecayTable& table, int t, bool reverse) {
  return reverse ? DecayToEnd(table, t) : DecayFromStart(table, t);
}

// ---- the state -------------------------------------------------------------

// A block's part of R, transposed: a warp has 16 columns of Z as rows, lane
// (g, t) of it d[n] = R(8 n + 2 t + {0, 1}, z0 + g) and (.., z0 + g + 8).
template <class Tile>
struct StateTile {
  static constexpr int kTiles = Tile::kYDim / 8;

  float d[kTiles][4];

  static LONGSPAN_DEVICE int Y(int n, int e) {
    return 8 * n + 2 * (LaneIndex() % 4) + e % 2;
  }
  // In the block's tile of Z.
  static LONGSPAN_DEVICE int Z(int e) {
    return 16 * WarpIndex() + LaneIndex() / 4 + 8 * (e / 2);
  }
};

// a(m, k) *= weights[k], k = 0 .. 15; with more planes than before what the
// rounding of the product leaves is kept too.
template <int kPlanes, int kWeightedPlanes>
LONGSPAN_DEVICE void WeightColumns(const LeftFragment<kPlanes>& a,
                                   const float* weights,
                                   LeftFragment<kWeightedPlanes>& weighted) {
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    const float* w = weights + 2 * (LaneIndex() % 4) + 8 * (i / 2);
    float low = LowFloat(a.r[0][i]);
    float high = HighFloat(a.r[0][i]);
    if constexpr (kPlanes == 2) {
      low += LowFloat(a.r[1][i]);
      high += HighFloat(a.r[1][i]);
    }
    uint32_t planes[kWeightedPlanes];
    SplitPair<kWeightedPlanes>(low * w[0], high * w[1], planes);
    LONGSPAN_UNROLL
    for (int plane = 0; plane < kWeightedPlanes; ++plane) {
      weighted.r[plane][i] = planes[plane];
    }
  }
}

// The block's part of a state in global memory.
struct StateView {
  float* data;  // null: absent
  int64_t stride_y;
  int64_t stride_z;
  int y_dim;
  int z_left;  // columns from the block's first one on
};

template <class Tile>
LONGSPAN_DEVICE StateView StateOf(const StateSlots& slots, int y_dim, int z_dim,
                                  const BlockWork& work) {
  const int z0 = work.z_tile * Tile::kZTile;
  StateView view = {nullptr, slots.stride_y, slots.stride_z, y_dim, z_dim - z0};
  if (slots.data == nullptr) return view;
  view.data = slots.data + work.segment * slots.stride_segment +
              work.b * slots.stride_b + work.h * slots.stride_h +
              z0 * slots.stride_z;
  return view;
}

template <class Tile>
LONGSPAN_DEVICE void ClearState(StateTile<Tile>& state) {
  LONGSPAN_UNROLL
  for (int n = 0; n < StateTile<Tile>::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) state.d[n][e] = 0.0f;
  }
}

// state = factor * view; a factor of 0 forgets even what is not finite.
template <class Tile>
LONGSPAN_DEVICE void LoadState(const StateView& view, float factor,
                               StateTile<Tile>& state) {
  ClearState(state);
  if (view.data == nullptr || factor == 0.0f) return;
  const int z = StateTile<Tile>::Z(0);
  const float* at =
      view.data + StateTile<Tile>::Y(0, 0) * view.stride_y + z * view.stride_z;
  LONGSPAN_UNROLL
  for (int n = 0; n < StateTile<Tile>::kTiles; ++n) {
    // Loads do not pass it: addresses of all would not fit in registers.
    if (n % 4 == 0) SyncWarp();
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) {
      const bool inside = StateTile<Tile>::Y(n, e) < view.y_dim &&
                          StateTile<Tile>::Z(e) < view.z_left;
      if (inside) {
        state.d[n][e] =
            factor * at[e % 2 * view.stride_y + e / 2 * 8 * view.stride_z];
      }
    }
    at += 8 * view.stride_y;
  }
}

template <class Tile>
LONGSPAN_DEVICE void StoreState(const StateView& view,
                                const StateTile<Tile>& state) {
  if (view.data == nullptr) return;
  float* at = view.data + StateTile<Tile>::Y(0, 0) * view.stride_y +
              StateTile<Tile>::Z(0) * view.stride_z;
  LONGSPAN_UNROLL
  for (int n = 0; n < StateTile<Tile>::kTiles; ++n) {
    if (n % 4 == 0) SyncWarp();
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) {
      const bool inside = StateTile<Tile>::Y(n, e) < view.y_dim &&
                          StateTile<Tile>::Z(e) < view.z_left;
      if (inside) {
        at[e % 2 * view.stride_y + e / 2 * 8 * view.stride_z] = state.d[n][e];
      }
    }
    at += 8 * view.stride_y;
  }
}

template <class Tile>
LONGSPAN_DEVICE void ScaleState(StateTile<Tile>& state, float factor) {
  LONGSPAN_UNROLL
  for (int n = 0; n < StateTile<Tile>::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) state.d[n][e] *= factor;
  }
}

template <class Tile, int kWeightedPlanes>
LONGSPAN_DEVICE void AddOuterProducts(StateTile<Tile>& state,
                                      const unsigned char* y,
                                      const unsigned char* z,
                                      const float* column_weights) {
  constexpr int kPlanes = Tile::kPlanes;
  LONGSPAN_NO_UNROLL
  for (int k0 = 0; k0 < kLinearChunk; k0 += 16) {
    LeftFragment<kPlanes> a;
    LoadLeftTransposed<kPlanes, Tile::kZRowBytes, Tile::kZPlaneBytes>(
        a, z, 16 * WarpIndex(), k0);
    LeftFragment<kWeightedPlanes> weighted;
    WeightColumns(a, column_weights + k0, weighted);
    LONGSPAN_UNROLL
    for (int n0 = 0; n0 < Tile::kYDim; n0 += 16) {
      RightFragments<kPlanes> b;
      LoadRightTransposed<kPlanes, Tile::kYRowBytes, Tile::kYPlaneBytes>(
          b, y, n0, k0);
      MultiplyAdd(state.d[n0 / 8], state.d[n0 / 8 + 1], weighted, b);
    }
  }
}

// R <- total R + (weight o Y)^T Z of the chunk in shared memory: as R^T, Z^T
// is the left operand, which also takes the weights. `precise` keeps their
// product in 16 bits instead of 8.
template <class Tile>
LONGSPAN_DEVICE void UpdateState(StateTile<Tile>& state, const unsigned char* y,
                                 const unsigned char* z,
                                 const float* column_weights, float total,
                                 bool precise) {
  ScaleState(state, total);
  if (Tile::kGeneral || precise) {
    AddOuterProducts<Tile, 2>(state, y, z, column_weights);
  } else {
    AddOuterProducts<Tile, Tile::kPlanes>(state, y, z, column_weights);
  }
}

}  // namespace longspan::kernels::cuda
