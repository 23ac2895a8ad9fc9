// Tiles of softmax attention: [rows, kDim] bf16 in swizzled shared memory, one
// plane for bf16 operands, a high and a low one for f32; their loads, their
// products in registers, and their way back to global memory.
//
// A warp's scores are a row of 16 x 8 accumulators (kernels/cuda/device/mma.h),
// and become the left operand of the next product without leaving registers.
#pragma once

#include "kernels/cuda/device/device.h"
#include "kernels/cuda/softmax_attention_params.h"

namespace longspan::kernels::cuda {

// ---- Addresses -------------------------------------------------------------

template <int kDim>
LONGSPAN_DEVICE uint32_t TileOffset(int row, int column16) {
  return SwizzledOffset(static_cast<uint32_t>(row),
                        static_cast<uint32_t>(column16), 2 * kDim);
}

template <int kDim, int kRows>
inline constexpr int kPlaneBytes = 2 * kDim* kRows;

// ---- Loads -----------------------------------------------------------------

// Eight numbers as 16 bytes of bf16: their nearest values, or with `low` what
// those leave over.
LONGSPAN_DEVICE void SplitPlanes(const float (&x)[8], Vector16& high,
                                 Vector16& low) {
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    high.x[i] = PackBf16(x[2 * i], x[2 * i + 1]);
    low.x[i] = PackBf16(x[2 * i] - LowFloat(high.x[i]),
                        x[2 * i + 1] - HighFloat(high.x[i]));
  }
}

// Elements [column, column + 8) of a row of f32, zero from `count` on.
LONGSPAN_DEVICE void ReadFloats(float (&x)[8], const float* row, int count,
                                bool vectors) {
  if (vectors && count > 0) {
    const Vector16 first = LoadVector16(row);
    const Vector16 second = LoadVector16(row + 4);
    LONGSPAN_UNROLL
    for (int i = 0; i < 4; ++i) {
      x[i] = FloatOfBits(first.x[i]);
      x[i + 4] = FloatOfBits(second.x[i]);
    }
    return;
  }
  LONGSPAN_UNROLL
  for (int i = 0; i < 8; ++i) x[i] = i < count ? row[i] : 0.0f;
}

LONGSPAN_DEVICE Vector16 ReadBf16s(const Bf16* row, int count) {
  Vector16 result;
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    const uint32_t low = 2 * i < count ? row[2 * i].bits : 0u;
    const uint32_t high = 2 * i + 1 < count ? row[2 * i + 1].bits : 0u;
    result.x[i] = low | high << 16;
  }
  return result;
}

// The rows of one head: row r of the tile is token (first + r) / packed, head
// (first + r) % packed from where `data` points.
struct AttentionRows {
  const void* data;
  int64_t token_stride;  // in bytes
  int64_t head_stride;   // in bytes
  int packed;
  int end;  // of all rows
};

template <int kPlanes>
LONGSPAN_DEVICE AttentionRows RowsOf(const AttentionOperand& operand,
                                     int64_t batch, int64_t head, int packed,
                                     int tokens) {
  constexpr int64_t kBytes = 2 * kPlanes;
  return {
      static_cast<const unsigned char*>(operand.data) +
          (batch * operand.batch_stride + head * operand.head_stride) * kBytes,
      operand.token_stride * kBytes, operand.head_stride * kBytes, packed,
      tokens * packed};
}

LONGSPAN_DEVICE const void* RowAt(const AttentionRows& rows, int row) {
  const unsigned char* data = static_cast<const unsigned char*>(rows.data);
  if (rows.packed == 1) return data + row * rows.token_stride;
  return data + row / rows.packed * rows.token_stride +
         row % rows.packed * rows.head_stride;
}

// Columns [8 column16, 8 column16 + 8) of a row into a tile by this thread, not
// by an asynchronous copy: f32 is split, other strides need single elements.
// `count` columns exist, the rest becomes zero.
template <int kDim, int kPlanes, int kRows>
LONGSPAN_DEVICE void LoadChunk(unsigned char* tile, int tile_row, int column16,
                               const void* row, int count, bool vectors) {
  unsigned char* to = tile + TileOffset<kDim>(tile_row, column16);
  if constexpr (kPlanes == 1) {
    StoreVector16(
        to, ReadBf16s(static_cast<const Bf16*>(row) + 8 * column16, count));
  } else {
    float x[8];
    ReadFloats(x, static_cast<const float*>(row) + 8 * column16, count,
               vectors);
    Vector16 high, low;
    SplitPlanes(x, high, low);
    StoreVector16(to, high);
    StoreVector16(to + kPlaneBytes<kDim, kRows>, low);
  }
}

// Rows [first, first + kRows) into a tile, by all threads of the block: bf16
// with `vectors` by asynchronous copies. Rows from rows.end on and columns from
// head_dim on become zero. Without kElements there are `vectors` and one head:
// the other path would cost the walk registers.
template <int kDim, int kPlanes, int kRows, int kThreads, bool kElements = true>
LONGSPAN_DEVICE void LoadTile(unsigned char* tile, const AttentionRows& rows,
                              int first, int head_dim, bool vectors) {
  constexpr int kColumns16 = kDim / 8;
  constexpr int kRowsAtOnce = kThreads / kColumns16;
  static_assert(kRows % kRowsAtOnce == 0);
  const int column16 = ThreadIndex() % kColumns16;
  const int thread_row = ThreadIndex() / kColumns16;
  const int columns = head_dim - 8 * column16;
  const int end = columns > 0 ? rows.end - first : 0;  // of rows that exist
  if (kPlanes == 1 && vectors && rows.packed == 1) {
    const unsigned char* from = static_cast<const unsigned char*>(rows.data) +
                                (first + thread_row) * rows.token_stride +
                                16 * column16;
    LONGSPAN_UNROLL
    for (int row = thread_row; row < kRows + thread_row; row += kRowsAtOnce) {
      CopyAsync16(tile + TileOffset<kDim>(row, column16), from,
                  row < end ? 16 : 0);
      from += kRowsAtOnce * rows.token_stride;
    }
    return;
  }
  if constexpr (kElements) {
    LONGSPAN_NO_UNROLL
    for (int row = thread_row; row < kRows; row += kRowsAtOnce) {
      LoadChunk<kDim, kPlanes, kRows>(tile, row, column16,
                                      RowAt(rows, row < end ? first + row : 0),
                                      row < end ? columns : 0, vectors);
    }
  }
}

// ---- Operands of products --------------------------------------------------

// Lane offsets are TileOffset of the row and 16-byte column that a lane hands
// to ldmatrix for the first 16 columns. 16 k16 columns further it is this one:
// the swizzle changes the lowest three bits of the 16-byte column only.
LONGSPAN_DEVICE uint32_t StepColumns(uint32_t lane_offset, int k16) {
  return (lane_offset ^ static_cast<uint32_t>(k16 % 4 * 32)) +
         static_cast<uint32_t>(k16 / 4 * 128);
}

// For 16 x 16 elements as a left operand, and for those of a tile whose rows
// the product sums over as two right operands (after a transposed load).
template <int kDim>
LONGSPAN_DEVICE uint32_t LaneOffsetBySums() {
  return TileOffset<kDim>(LaneIndex() % 16, LaneIndex() / 16);
}

// For 16 x 16 elements of a tile whose rows are the columns of the product, as
// two right operands.
template <int kDim>
LONGSPAN_DEVICE uint32_t LaneOffsetByColumns() {
  return TileOffset<kDim>(LaneIndex() % 8 + LaneIndex() / 16 * 8,
                          LaneIndex() / 8 % 2);
}

LONGSPAN_DEVICE void AsRight(uint32_t (&b)[2][2], const uint32_t (&r)[4]) {
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

// Scores rounded to planes: a lane's two rows of each 16 x 8 tile. Two
// neighbouring tiles are a left operand that sums over their columns.
template <int kPlanes, int kTiles>
struct PackedScores {
  uint32_t pair[kPlanes][kTiles][2];
};

template <int kPlanes, int kTiles>
LONGSPAN_DEVICE void PackPair(PackedScores<kPlanes, kTiles>& packed, int tile,
                              int half, float low, float high) {
  const uint32_t pair = PackBf16(low, high);
  packed.pair[0][tile][half] = pair;
  if constexpr (kPlanes == 2) {
    packed.pair[1][tile][half] =
        PackBf16(low - LowFloat(pair), high - HighFloat(pair));
  }
}

// d += a b; with two planes all but the product of the low ones.
template <int kPlanes>
LONGSPAN_DEVICE void MultiplyAdd(float (&d)[4], const uint32_t (&a)[kPlanes][4],
                                 const uint32_t (&b)[kPlanes][2][2], int n) {
  MmaBf16(d, a[0], b[0][n]);
  if constexpr (kPlanes == 2) {
    MmaBf16(d, a[0], b[1][n]);
    MmaBf16(d, a[1], b[0][n]);
  }
}

// ---- Products --------------------------------------------------------------

// scores = left rows times the transpose of right rows: for each of the warp's
// kRowTiles runs of 16 rows from `row` on, against all 8 kTiles rows of
// `right`.
template <int kDim, int kPlanes, int kLeftRows, int kRowTiles, int kTiles>
LONGSPAN_DEVICE void MultiplyRows(float (&scores)[kRowTiles][kTiles][4],
                                  const unsigned char* left, int row,
                                  const unsigned char* right) {
  const uint32_t left_lane = LaneOffsetBySums<kDim>();
  const uint32_t right_lane = LaneOffsetByColumns<kDim>();
  LONGSPAN_UNROLL
  for (int m = 0; m < kRowTiles; ++m) {
    LONGSPAN_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      LONGSPAN_UNROLL
      for (int i = 0; i < 4; ++i) scores[m][n][i] = 0.0f;
    }
  }
  LONGSPAN_UNROLL
  for (int k16 = 0; k16 < kDim / 16; ++k16) {
    uint32_t a[kRowTiles][kPlanes][4];
    LONGSPAN_UNROLL
    for (int m = 0; m < kRowTiles; ++m) {
      LONGSPAN_UNROLL
      for (int p = 0; p < kPlanes; ++p) {
        LoadMatrix4(a[m][p], left + p * kPlaneBytes<kDim, kLeftRows> +
                                 (row + 16 * m) * 2 * kDim +
                                 StepColumns(left_lane, k16));
      }
    }
    LONGSPAN_UNROLL
    for (int n16 = 0; n16 < kTiles / 2; ++n16) {
      uint32_t b[kPlanes][2][2];
      LONGSPAN_UNROLL
      for (int p = 0; p < kPlanes; ++p) {
        uint32_t r[4];
        LoadMatrix4(r, right + p * kPlaneBytes<kDim, 8 * kTiles> +
                           n16 * 32 * kDim + StepColumns(right_lane, k16));
        AsRight(b[p], r);
      }
      LONGSPAN_UNROLL
      for (int m = 0; m < kRowTiles; ++m) {
        MultiplyAdd<kPlanes>(scores[m][2 * n16], a[m], b, 0);
        MultiplyAdd<kPlanes>(scores[m][2 * n16 + 1], a[m], b, 1);
      }
    }
  }
}

// sums += scores times right: scores over the 8 kTiles rows of `right`.
template <int kDim, int kPlanes, int kRowTiles, int kTiles>
LONGSPAN_DEVICE void MultiplyScores(
    float (&sums)[kRowTiles][kDim / 8][4],
    const PackedScores<kPlanes, kTiles> (&scores)[kRowTiles],
    const unsigned char* right) {
  const uint32_t right_lane = LaneOffsetBySums<kDim>();
  LONGSPAN_UNROLL
  for (int k16 = 0; k16 < kTiles / 2; ++k16) {
    uint32_t a[kRowTiles][kPlanes][4];
    LONGSPAN_UNROLL
    for (int i = 0; i < kRowTiles * kPlanes * 4; ++i) {
      const int m = i / 4 / kPlanes, p = i / 4 % kPlanes;
      a[m][p][i % 4] = scores[m].pair[p][2 * k16 + i % 4 / 2][i % 2];
    }
    LONGSPAN_UNROLL
    for (int n16 = 0; n16 < kDim / 16; ++n16) {
      uint32_t b[kPlanes][2][2];
      LONGSPAN_UNROLL
      for (int p = 0; p < kPlanes; ++p) {
        uint32_t r[4];
        LoadMatrix4Transposed(r, right + p * kPlaneBytes<kDim, 8 * kTiles> +
                                     k16 * 32 * kDim +
                                     StepColumns(right_lane, n16));
        AsRight(b[p], r);
      }
      LONGSPAN_UNROLL
      for (int m = 0; m < kRowTiles; ++m) {
        MultiplyAdd<kPlanes>(sums[m][2 * n16], a[m], b, 0);
        MultiplyAdd<kPlanes>(sums[m][2 * n16 + 1], a[m], b, 1);
      }
    }
  }
}

// ---- Stores ----------------------------------------------------------------

// 16 rows of accumulators, times factor[0] for a lane's first row and
// factor[1] for its second, as bf16 into a tile that only this warp uses.
template <int kDim>
LONGSPAN_DEVICE void StageRows(unsigned char* tile, int row,
                               const float (&sums)[kDim / 8][4],
                               const float (&factor)[2]) {
  const int lane = LaneIndex();
  LONGSPAN_UNROLL
  for (int n = 0; n < kDim / 8; ++n) {
    LONGSPAN_UNROLL
    for (int half = 0; half < 2; ++half) {
      unsigned char* to =
          tile + TileOffset<kDim>(row + lane / 4 + 8 * half, n) + lane % 4 * 4;
      StoreVector4(to, {{PackBf16(sums[n][2 * half] * factor[half],
                                  sums[n][2 * half + 1] * factor[half])}});
    }
  }
}

// The staged rows to global memory, by this warp: tile row `row` + r is row
// `first` + r of `rows`.
template <int kDim, int kRows>
LONGSPAN_DEVICE void StoreStagedRows(const unsigned char* tile, int row,
                                     const AttentionRows& rows, int first,
                                     int head_dim, bool vectors) {
  constexpr int kColumns16 = kDim / 8;
  constexpr int kRowsAtOnce = 32 / kColumns16;
  const int column16 = LaneIndex() % kColumns16;
  const int columns = head_dim - 8 * column16;
  for (int i = LaneIndex() / kColumns16; i < kRows; i += kRowsAtOnce) {
    if (first + i >= rows.end || columns <= 0) continue;
    Bf16* to = static_cast<Bf16*>(const_cast<void*>(RowAt(rows, first + i))) +
               8 * column16;
    const Vector16 v = LoadVector16(tile + TileOffset<kDim>(row + i, column16));
    if (vectors) {
      StoreVector16(to, v);
      continue;
    }
    LONGSPAN_UNROLL
    for (int c = 0; c < 8; ++c) {
      if (c >= columns) continue;
      to[c].bits = static_cast<uint16_t>(v.x[c / 2] >> (c % 2 * 16));
    }
  }
}

// One lane's part of a row of accumulators as f32: `half` 0 is its first row.
template <int kDim>
LONGSPAN_DEVICE void StoreFloats(float* row, const float (&sums)[kDim / 8][4],
                                 int half, float factor, int head_dim) {
  LONGSPAN_UNROLL
  for (int n = 0; n < kDim / 8; ++n) {
    const int column = 8 * n + LaneIndex() % 4 * 2;
    if (column < head_dim) row[column] = sums[n][2 * half] * factor;
    if (column + 1 < head_dim) row[column + 1] = sums[n][2 * half + 1] * factor;
  }
}

// kRowTiles runs of 16 rows of a warp as the operands' type, through the
// warp's own rows [row, row + 16 kRowTiles) of `tile` where that is bf16.
template <int kDim, int kPlanes, int kRowTiles>
LONGSPAN_DEVICE void StoreRows(unsigned char* tile, int row,
                               const float (&sums)[kRowTiles][kDim / 8][4],
                               const float (&factor)[kRowTiles][2],
                               const AttentionRows& rows, int first,
                               int head_dim, bool vectors) {
  if constexpr (kPlanes == 1) {
    SyncWarp();  // the warp has read its rows of the tile
    LONGSPAN_UNROLL
    for (int m = 0; m < kRowTiles; ++m) {
      StageRows<kDim>(tile, row + 16 * m, sums[m], factor[m]);
    }
    SyncWarp();
    StoreStagedRows<kDim, 16 * kRowTiles>(tile, row, rows, first, head_dim,
                                          vectors);
  } else {
    LONGSPAN_UNROLL
    for (int m = 0; m < kRowTiles; ++m) {
      LONGSPAN_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int at = first + 16 * m + 8 * half + LaneIndex() / 4;
        if (at >= rows.end) continue;
        StoreFloats<kDim>(
            static_cast<float*>(const_cast<void*>(RowAt(rows, at))), sums[m],
            half, factor[m][half], head_dim);
      }
    }
  }
}

// ---- Blocks ----------------------------------------------------------------

struct AttentionPlace {
  int64_t unit;
  int row_tile;
};

// Where block `index` of units * row_tiles works; the order is described at
// CudaAttentionGrid.
LONGSPAN_DEVICE AttentionPlace PlaceOfBlock(const AttentionBlockOrder& order,
                                            int64_t index) {
  const int64_t section_blocks = order.section_units * order.row_tiles;
  const int64_t section = index / section_blocks;
  const int64_t inside = index - section * section_blocks;
  const int64_t first = section * order.section_units;
  const int64_t left = order.units - first;
  const int64_t units = left < order.section_units ? left : order.section_units;
  const int tile = static_cast<int>(inside / units);
  return {first + inside % units,
          order.last_tile_first ? order.row_tiles - 1 - tile : tile};
}

// A lane's two rows of each run of 16.
LONGSPAN_DEVICE int LaneRow(int m, int half) {
  return 16 * m + 8 * half + LaneIndex() / 4;
}

}  // namespace longspan::kernels::cuda
