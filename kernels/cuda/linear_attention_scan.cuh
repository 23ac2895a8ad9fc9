// The phases of the scan kernel, one function each; the order is in
// linear_attention_scan.cu.
#pragma once

#include <type_traits>

#include "kernels/cuda/linear_attention_tile.cuh"

namespace longspan::kernels::cuda {

// Shared memory: stages of operands, then what one chunk shares.
template <class Tile>
struct ScanLayout {
  // General tiles are read synchronously, so a second stage would be idle.
  static constexpr int kStages = Tile::kGeneral ? 1 : 2;
  // In a stage.
  static constexpr int kX = 0;
  static constexpr int kY = kX + Tile::kYBytes;
  static constexpr int kZ = kY + Tile::kYBytes;
  static constexpr int kTable = kZ + Tile::kZBytes;
  static constexpr int kStageBytes = kTable + sizeof(DecayTable);
  // Behind the stages.
  static constexpr int kScores = kStages * kStageBytes;
  static constexpr int kRowWeights = kScores + Tile::kScoreBytes;
  static constexpr int kColumnWeights =
      kRowWeights + kLinearChunk * sizeof(float);
  static constexpr int kDots = kColumnWeights + kLinearChunk * sizeof(float);
  static constexpr int kBytes =
      kDots + Tile::kWarps * kLinearChunk * sizeof(float);

  static_assert(kStageBytes % 128 == 0, "tiles start at whole bank rows");
  static_assert(kBytes <= 227 * 1024, "what a block of Hopper may have");
};

// ---- load ------------------------------------------------------------------

// Puts chunk `chunk` into a stage; one group of asynchronous copies.
template <class Tile>
LONGSPAN_DEVICE void StageScan(const ScanParams& p, const ScanRole& role,
                               const BlockWork& work, int64_t chunk,
                               unsigned char* stage) {
  using Layout = ScanLayout<Tile>;
  const int rows = ChunkRows(p.grid, chunk);
  const int64_t token = chunk * kLinearChunk;
  const bool f32 = p.f32 != 0;
  StageRows<Tile, Tile::kYRowBytes>(stage + Layout::kX, role.x,
                                    RowOffset(role.x, work.b, work.h, token),
                                    rows, 0, role.y_dim, f32);
  StageTable<Tile>(stage + Layout::kTable,
                   p.grid.tables + work.bh * p.grid.chunks + chunk);
  if (!p.inter) {
    StageRows<Tile, Tile::kYRowBytes>(stage + Layout::kY, role.y,
                                      RowOffset(role.y, work.b, work.h, token),
                                      rows, 0, role.y_dim, f32);
    StageRows<Tile, Tile::kZRowBytes>(
        stage + Layout::kZ, role.z, RowOffset(role.z, work.b, work.h, token),
        rows, work.z_tile * Tile::kZTile, role.z_dim, f32);
  }
  if constexpr (!Tile::kGeneral) CopyAsyncCommit();
}

// The factor on the entering state: 1, or the decay from the range's end.
LONGSPAN_DEVICE float EnteringFactor(const ScanParams& p, const ScanRole& role,
                                     const BlockWork& work) {
  if (role.entering_log2 == nullptr) return 1.0f;
  const int64_t sequences = p.grid.batch * p.grid.heads;
  return Exp2(role.entering_log2[work.segment * sequences + work.bh]);
}

// ---- compute ---------------------------------------------------------------

template <class Tile>
LONGSPAN_DEVICE void WriteWeights(const DecayTable& table, const ScanRole& role,
                                  float* rows, float* columns) {
  const int t = ThreadIndex();
  if (t >= kLinearChunk) return;
  const bool reverse = role.reverse != 0;
  rows[t] = role.row_scale * RowDecay(table, t, reverse);
  columns[t] = role.column_scale * ColumnDecay(table, t, reverse);
}

// Whether the tokens of 16 columns from j0 are seen by any of 16 rows from i0.
LONGSPAN_DEVICE bool TileIsSeen(int i0, int j0, bool reverse) {
  return reverse ? j0 >= i0 : j0 <= i0;
}

// The columns that row i sees are first .. last.
struct RowMask {
  int first;
  int last;
  float sum;
};
LONGSPAN_DEVICE RowMask MaskOfRow(const DecayTable& table, int i,
                                  bool reverse) {
  const uint32_t span = table.span[i];
  const int first = static_cast<int>(span & 0xFF);
  const int last = static_cast<int>(span >> 8 & 0xFF);
  return {reverse ? i : first, reverse ? last : i, table.sum[i]};
}
LONGSPAN_DEVICE float MaskedScore(float score, const RowMask& row, int j,
                                  float sum, bool reverse, float scale) {
  if (j < row.first || j > row.last) return 0.0f;
  return score * scale * Exp2(reverse ? sum - row.sum : row.sum - sum);
}

// Scores of 16 rows and 64 or 32 columns per warp, masked, decayed and rounded
// to shared memory. Tiles of 16 x 16 that nobody sees are not written.
template <class Tile>
LONGSPAN_DEVICE void WriteScores(const ScanRole& role,
                                 const unsigned char* stage,
                                 unsigned char* scores) {
  using Layout = ScanLayout<Tile>;
  constexpr int kPlanes = Tile::kPlanes;
  constexpr int kColumns = kLinearChunk * 4 / Tile::kWarps;
  const bool reverse = role.reverse != 0;
  const int i0 = 16 * (WarpIndex() % 4);
  const int j0 = kColumns * (WarpIndex() / 4);
  const auto& table =
      *reinterpret_cast<const DecayTable*>(stage + Layout::kTable);

  float s[kColumns / 8][4] = {};
  LONGSPAN_NO_UNROLL
  for (int k0 = 0; k0 < Tile::kYDim; k0 += 16) {
    LeftFragment<kPlanes> a;
    LoadLeft<kPlanes, Tile::kYRowBytes, Tile::kYPlaneBytes>(
        a, stage + Layout::kX, i0, k0);
    LONGSPAN_UNROLL
    for (int n0 = 0; n0 < kColumns; n0 += 16) {
      if (!TileIsSeen(i0, j0 + n0, reverse)) continue;
      RightFragments<kPlanes> b;
      LoadRight<kPlanes, Tile::kYRowBytes, Tile::kYPlaneBytes>(
          b, stage + Layout::kY, j0 + n0, k0);
      MultiplyAdd(s[n0 / 8], s[n0 / 8 + 1], a, b);
    }
  }

  const int row = i0 + LaneIndex() / 4;
  const RowMask top = MaskOfRow(table, row, reverse);
  const RowMask bottom = MaskOfRow(table, row + 8, reverse);
  const float scale = role.score_scale;
  LONGSPAN_UNROLL
  for (int n = 0; n < kColumns / 8; ++n) {
    if (!TileIsSeen(i0, j0 + n / 2 * 16, reverse)) continue;
    const int j = j0 + 8 * n + 2 * (LaneIndex() % 4);
    const float sum0 = table.sum[j];
    const float sum1 = table.sum[j + 1];
    LONGSPAN_UNROLL
    for (int half = 0; half < 2; ++half) {
      const RowMask& mask = half == 0 ? top : bottom;
      uint32_t planes[kPlanes];
      SplitPair<kPlanes>(
          MaskedScore(s[n][2 * half], mask, j, sum0, reverse, scale),
          MaskedScore(s[n][2 * half + 1], mask, j + 1, sum1, reverse, scale),
          planes);
      unsigned char* to =
          scores + SwizzledOffset(row + 8 * half, j / 8, Tile::kScoreRowBytes) +
          2 * (j % 8);
      LONGSPAN_UNROLL
      for (int plane = 0; plane < kPlanes; ++plane) {
        StoreVector4(to + plane * Tile::kScorePlaneBytes, {{planes[plane]}});
      }
    }
  }
}

// out^T of a warp: d[n] = out(8 n + 2 t + {0, 1}, z), z = g, g + 8.
struct OutputTile {
  static constexpr int kTiles = kLinearChunk / 8;
  float d[kTiles][4];
};

template <class Tile, int kStatePlanes>
LONGSPAN_DEVICE void AddStateProduct(const StateTile<Tile>& state,
                                     const unsigned char* x, OutputTile& out) {
  constexpr int kPlanes = Tile::kPlanes;
  LONGSPAN_UNROLL
  for (int k0 = 0; k0 < Tile::kYDim; k0 += 16) {
    LeftFragment<kStatePlanes> a;
    LONGSPAN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float* pair = state.d[k0 / 8 + i / 2] + 2 * (i % 2);
      uint32_t planes[kStatePlanes];
      SplitPair<kStatePlanes>(pair[0], pair[1], planes);
      LONGSPAN_UNROLL
      for (int plane = 0; plane < kStatePlanes; ++plane) {
        a.r[plane][i] = planes[plane];
      }
    }
    LONGSPAN_UNROLL
    for (int n0 = 0; n0 < kLinearChunk; n0 += 16) {
      RightFragments<kPlanes> b;
      LoadRight<kPlanes, Tile::kYRowBytes, Tile::kYPlaneBytes>(b, x, n0, k0);
      MultiplyAdd(out.d[n0 / 8], out.d[n0 / 8 + 1], a, b);
    }
  }
}

// out^T = R^T X^T, weighted: what flows from the state, as bf16 or, `precise`,
// in two planes.
template <class Tile>
LONGSPAN_DEVICE void MultiplyState(const StateTile<Tile>& state,
                                   const unsigned char* x,
                                   const float* row_weights, bool precise,
                                   OutputTile& out) {
  LONGSPAN_UNROLL
  for (int n = 0; n < OutputTile::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) out.d[n][e] = 0.0f;
  }
  if (Tile::kGeneral || precise) {
    AddStateProduct<Tile, 2>(state, x, out);
  } else {
    AddStateProduct<Tile, Tile::kPlanes>(state, x, out);
  }
  LONGSPAN_UNROLL
  for (int n = 0; n < OutputTile::kTiles; ++n) {
    const float* w = row_weights + 8 * n + 2 * (LaneIndex() % 4);
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) out.d[n][e] *= w[e % 2];
  }
}

// out^T += Z^T scores^T: what flows inside the chunk.
template <class Tile>
LONGSPAN_DEVICE void MultiplyScores(const unsigned char* z,
                                    const unsigned char* scores, bool reverse,
                                    OutputTile& out) {
  constexpr int kPlanes = Tile::kPlanes;
  LONGSPAN_NO_UNROLL
  for (int k0 = 0; k0 < kLinearChunk; k0 += 16) {
    LeftFragment<kPlanes> a;
    LoadLeftTransposed<kPlanes, Tile::kZRowBytes, Tile::kZPlaneBytes>(
        a, z, 16 * WarpIndex(), k0);
    LONGSPAN_UNROLL
    for (int n0 = 0; n0 < kLinearChunk; n0 += 16) {
      if (!TileIsSeen(n0, k0, reverse)) continue;
      RightFragments<kPlanes> b;
      LoadRight<kPlanes, Tile::kScoreRowBytes, Tile::kScorePlaneBytes>(
          b, scores, n0, k0);
      MultiplyAdd(out.d[n0 / 8], out.d[n0 / 8 + 1], a, b);
    }
  }
}

// ---- store -----------------------------------------------------------------

// dots[token] = sum over this block's columns of out * partner, in f32 before
// out is rounded; summed over warps in order.
template <class Tile>
LONGSPAN_DEVICE void WriteDots(const ScanParams& p, const ScanRole& role,
                               const BlockWork& work, int64_t chunk,
                               const OutputTile& out, float* shared) {
  const int rows = ChunkRows(p.grid, chunk);
  const int64_t token = chunk * kLinearChunk;
  const int64_t base = RowOffset(role.partner, work.b, work.h, token);
  const int z0 = work.z_tile * Tile::kZTile + StateTile<Tile>::Z(0);
  LONGSPAN_UNROLL
  for (int n = 0; n < OutputTile::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int i = 8 * n + 2 * (LaneIndex() % 4) + e;
      const int64_t at = base + i * role.partner.stride_t + z0;
      float sum = 0.0f;
      if (i < rows && z0 < role.z_dim) {
        sum += out.d[n][e] * LoadElement(role.partner.data, at, p.f32);
      }
      if (i < rows && z0 + 8 < role.z_dim) {
        sum += out.d[n][e + 2] * LoadElement(role.partner.data, at + 8, p.f32);
      }
      sum += ShuffleXor(sum, 4);
      sum += ShuffleXor(sum, 8);
      sum += ShuffleXor(sum, 16);
      if (LaneIndex() < 4) shared[WarpIndex() * kLinearChunk + i] = sum;
    }
  }
  SyncBlock();
  const int i = ThreadIndex();
  if (i >= rows) return;
  float sum = 0.0f;
  for (int warp = 0; warp < Tile::kWarps; ++warp) {
    sum += shared[warp * kLinearChunk + i];
  }
  const int64_t sequences = p.grid.batch * p.grid.heads;
  role.dots[(work.z_tile * sequences + work.bh) * p.grid.tokens + token + i] =
      sum;
}

// Rounds out^T into the warp's own 16 columns of the Z tile, which nobody else
// reads, and writes them as rows of 32 bytes.
template <class Tile>
LONGSPAN_DEVICE void StoreRounded(const ScanParams& p, const ScanRole& role,
                                  const BlockWork& work, int64_t chunk,
                                  const OutputTile& out, unsigned char* z) {
  const int rows = ChunkRows(p.grid, chunk);
  const int lane = LaneIndex();
  SyncWarp();  // all lanes have read Z
  LONGSPAN_UNROLL
  for (int n = 0; n < OutputTile::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int i = 8 * n + 2 * (lane % 4) + e % 2;
      unsigned char* to =
          z + SwizzledOffset(i, 2 * WarpIndex() + e / 2, Tile::kZRowBytes) +
          2 * (lane / 4);
      *reinterpret_cast<Bf16*>(to) = ToBf16(out.d[n][e]);
    }
  }
  SyncWarp();
  Bf16* base = static_cast<Bf16*>(const_cast<void*>(role.out.data)) +
               RowOffset(role.out, work.b, work.h, chunk * kLinearChunk);
  LONGSPAN_UNROLL
  for (int i = 0; i < 2 * kLinearChunk / kWarpThreads; ++i) {
    const int row = (i * kWarpThreads + lane) / 2;
    const int column16 = 2 * WarpIndex() + lane % 2;
    const int col = work.z_tile * Tile::kZTile + 8 * column16;
    if (row >= rows || col >= role.z_dim) continue;
    Vector16 v =
        LoadVector16(z + SwizzledOffset(row, column16, Tile::kZRowBytes));
    Bf16* to = base + row * role.out.stride_t + col;
    if (p.inter) {
      const Vector16 before = LoadVector16(to);
      LONGSPAN_UNROLL
      for (int word = 0; word < 4; ++word) {
        v.x[word] = PackBf16(LowFloat(v.x[word]) + LowFloat(before.x[word]),
                             HighFloat(v.x[word]) + HighFloat(before.x[word]));
      }
    }
    StoreVector16(to, v);
  }
}

// Element by element, of either type.
template <class Tile>
LONGSPAN_DEVICE void StoreElements(const ScanParams& p, const ScanRole& role,
                                   const BlockWork& work, int64_t chunk,
                                   const OutputTile& out) {
  const int rows = ChunkRows(p.grid, chunk);
  const int64_t base =
      RowOffset(role.out, work.b, work.h, chunk * kLinearChunk);
  void* data = const_cast<void*>(role.out.data);
  LONGSPAN_UNROLL
  for (int n = 0; n < OutputTile::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int i = 8 * n + 2 * (LaneIndex() % 4) + e % 2;
      const int z = work.z_tile * Tile::kZTile + StateTile<Tile>::Z(e);
      if (i >= rows || z >= role.z_dim) continue;
      const int64_t at = base + i * role.out.stride_t + z;
      float value = out.d[n][e];
      if (p.inter) value += LoadElement(data, at, p.f32);
      if (p.f32) {
        static_cast<float*>(data)[at] = value;
      } else {
        static_cast<Bf16*>(data)[at] = ToBf16(value);
      }
    }
  }
}

}  // namespace longspan::kernels::cuda
