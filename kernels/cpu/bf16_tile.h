// Products of bf16 matrices with f32 sums, in tiles of 16 lines by 32 numbers
// of depth: AMX (TDPBF16PS) where the including file is compiled for it, else
// plain loops.
//
// The product of A [m, depth] and B [depth, n] is summed in blocks of 32 x 32.
// The lines of A are its rows, those of B its columns. Tiles are rows of 64
// bytes:
//
//     of A   16 rows of 32 numbers            A[line][depth]
//     of B   16 rows of 16 pairs of numbers   B[2 row .. 2 row + 1][line]
//
// so a tile of B is the transpose, in units of pairs, of a tile of A with the
// same lines and depth (FlipTiles in bf16_pack.h).
#pragma once

#include "kernels/api/bfloat16.h"
#include "kernels/cpu/simd.h"

#if defined(__AMX_BF16__)
#include <immintrin.h>
#endif

namespace longspan::kernels::LONGSPAN_ISA {

inline constexpr int64_t kTileLines = 16;
inline constexpr int64_t kTileDepth = 32;
inline constexpr int64_t kTileNumbers = kTileLines * kTileDepth;
inline constexpr int64_t kBlockLines = 2 * kTileLines;
// A block of sums: tiles of 16 x 16, first the two of the upper half.
inline constexpr int64_t kSumTile = kTileLines * kTileLines;
inline constexpr int64_t kBlockSums = 4 * kSumTile;

// Where the tiles of an operand are; strides count numbers.
struct TileOperand {
  const BFloat16* data;
  int64_t row;    // to the next row of a tile
  int64_t panel;  // to the next 16 lines
  int64_t depth;  // to the next 32 numbers of depth

  const BFloat16* Tile(int64_t index, int64_t k) const {
    return data + index * panel + k * depth;
  }
  // From a block of lines and a tile of depth on.
  TileOperand From(int64_t block, int64_t k) const {
    return {Tile(2 * block, k), row, panel, depth};
  }
};

// Tile after tile of depth, line after line.
inline TileOperand PackedTiles(const BFloat16* data, int64_t depth_tiles) {
  return {data, kTileDepth, depth_tiles * kTileNumbers, kTileNumbers};
}

// Tiles of A where its rows are.
inline TileOperand RowTiles(const BFloat16* data, int64_t stride) {
  return {data, stride, kTileLines * stride, kTileDepth};
}

#if defined(__AMX_BF16__)

// Shapes the tile registers of this thread while it lives.
class TileRegisters {
 public:
  TileRegisters() {
    struct alignas(64) Shapes {
      uint8_t palette, start_row, reserved[14];
      uint16_t row_bytes[16];
      uint8_t rows[16];
    };
    static constexpr Shapes kShapes = {1,
                                       0,
                                       {},
                                       {64, 64, 64, 64, 64, 64, 64, 64},
                                       {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&kShapes);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

// 32 x 32 sums, in tile registers: one at a time.
class BlockSum {
 public:
  LONGSPAN_INLINE void Clear() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }

  LONGSPAN_INLINE void Add(const TileOperand& a, const TileOperand& b,
                           int64_t depth_tiles) {
    // The loads do not tell the compiler that they read memory.
    asm volatile("" ::: "memory");
    const int64_t a_row = 2 * a.row;
    const int64_t b_row = 2 * b.row;
    for (int64_t k = 0; k < depth_tiles; ++k) {
      _tile_loadd(4, a.Tile(0, k), a_row);
      _tile_loadd(6, b.Tile(0, k), b_row);
      _tile_loadd(7, b.Tile(1, k), b_row);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(5, a.Tile(1, k), a_row);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }

  LONGSPAN_INLINE void Store(float* block) const {
    constexpr int64_t kRow = kTileLines * sizeof(float);
    _tile_stored(0, block, kRow);
    _tile_stored(1, block + kSumTile, kRow);
    _tile_stored(2, block + 2 * kSumTile, kRow);
    _tile_stored(3, block + 3 * kSumTile, kRow);
    asm volatile("" ::: "memory");
  }
};

#else

class TileRegisters {
 public:
  TileRegisters() {}
  ~TileRegisters() {}
};

class BlockSum {
 public:
  void Clear() {
    for (float& sum : sums_) sum = 0.0f;
  }

  void Add(const TileOperand& a, const TileOperand& b, int64_t depth_tiles) {
    for (int64_t k = 0; k < depth_tiles; ++k) {
      for (int64_t tile = 0; tile < 4; ++tile) {
        AddTiles(a.Tile(tile / 2, k), a.row, b.Tile(tile % 2, k), b.row,
                 sums_ + tile * kSumTile);
      }
    }
  }

  void Store(float* block) const {
    for (int64_t i = 0; i < kBlockSums; ++i) block[i] = sums_[i];
  }

 private:
  static void AddTiles(const BFloat16* a, int64_t a_row, const BFloat16* b,
                       int64_t b_row, float* sums) {
    for (int64_t pair = 0; pair < kTileDepth / 2; ++pair) {
      float first[kTileLines], second[kTileLines];
      for (int64_t j = 0; j < kTileLines; ++j) {
        first[j] = ToFloat(b[pair * b_row + 2 * j]);
        second[j] = ToFloat(b[pair * b_row + 2 * j + 1]);
      }
      for (int64_t i = 0; i < kTileLines; ++i) {
        const float x = ToFloat(a[i * a_row + 2 * pair]);
        const float y = ToFloat(a[i * a_row + 2 * pair + 1]);
        float* row = sums + i * kTileLines;
        for (int64_t j = 0; j < kTileLines; ++j) {
          row[j] += x * first[j] + y * second[j];
        }
      }
    }
  }

  float sums_[kBlockSums];
};

#endif

// Every block of a product: fill(sum, row block, column block) adds its terms,
// done(row block, column block, sums) takes them. A block is taken while the
// next one is summed; `blocks` has room for two.
template <typename Fill, typename Done>
LONGSPAN_INLINE void ForEachBlockSum(int64_t row_blocks, int64_t col_blocks,
                                     float* blocks, const Fill& fill,
                                     const Done& done) {
  const int64_t count = row_blocks * col_blocks;
  BlockSum sum;
  for (int64_t i = 0; i <= count; ++i) {
    if (i < count) {
      sum.Clear();
      fill(sum, i / col_blocks, i % col_blocks);
      sum.Store(blocks + i % 2 * kBlockSums);
    }
    if (i == 0) continue;
    done((i - 1) / col_blocks, (i - 1) % col_blocks,
         static_cast<const float*>(blocks + (i - 1) % 2 * kBlockSums));
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
