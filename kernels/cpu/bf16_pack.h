// Rows of bf16 operands as tiles (bf16_tile.h).
//
// A matrix X [tokens, channels] that lies in padded rows is packed into
//
//     PackPairs   tiles of B = X       lines are channels, depth tokens
//     FlipTiles   tiles of B = X^T     from the rows: lines tokens, depth
//                                      channels
//                 tiles of A = X^T     from the pairs: lines channels, depth
//                                      tokens
//
// and its rows are tiles of A = X as they are. Every number of a tile is
// written, those beyond the matrix as zero.
#pragma once

#include "kernels/cpu/bf16_lanes.h"
#include "kernels/cpu/bf16_tile.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Rows in memory: row i begins at data + i * stride.
struct Bf16Rows {
  const BFloat16* data;
  int64_t stride;

  const BFloat16* Row(int64_t i) const { return data + i * stride; }
};

// `count` rows of `cols` numbers, each times its factor (null: as they are), as
// `padded_count` rows of `padded_cols` numbers.
inline void CopyRows(const Bf16Rows& from, int64_t count, int64_t cols,
                     const float* factors, int64_t padded_count,
                     int64_t padded_cols, BFloat16* to) {
  const Lanes zero = SplatLanes(0.0f);
  for (int64_t i = 0; i < padded_count; ++i) {
    const Lanes factor =
        SplatLanes(factors == nullptr || i >= count ? 1.0f : factors[i]);
    for (int64_t c = 0; c < padded_cols; c += 2 * kWide) {
      Lanes low = zero;
      Lanes high = zero;
      if (i < count) {
        low = Multiply(factor, LoadBf16(from.Row(i) + c, cols - c));
        high = Multiply(factor,
                        LoadBf16(from.Row(i) + c + kWide, cols - c - kWide));
      }
      StoreBf16(low, high, to + i * padded_cols + c, 2 * kWide);
    }
  }
}

#if defined(__AVX512BF16__)

// 32 channels of two tokens.
LONGSPAN_INLINE void PairRows(const BFloat16* even, const BFloat16* odd,
                              BFloat16* low, BFloat16* high) {
  // Unpacking works in quarters: the low halves of all quarters first.
  const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
  const __m512i a = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(even));
  const __m512i b = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(odd));
  _mm512_storeu_si512(low, _mm512_unpacklo_epi16(a, b));
  _mm512_storeu_si512(high, _mm512_unpackhi_epi16(a, b));
}

LONGSPAN_INLINE __m512i Quarters(const BFloat16* from, int64_t row) {
  const auto load = [&](int64_t i) {
    return _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(from + 4 * i * row));
  };
  __m512i v = _mm512_castsi128_si512(load(0));
  v = _mm512_mask_broadcast_i32x4(v, 0x00F0, load(1));
  v = _mm512_mask_broadcast_i32x4(v, 0x0F00, load(2));
  return _mm512_mask_broadcast_i32x4(v, 0xF000, load(3));
}

// Transposes 16 x 16 pairs, four columns at a time: their quarters of rows 0,
// 4, 8 and 12 in one register, and of the rows below in three more.
LONGSPAN_INLINE void FlipTile(const BFloat16* from, int64_t row, BFloat16* to) {
  for (int64_t quarter = 0; quarter < 4; ++quarter) {
    const BFloat16* column = from + 8 * quarter;
    const __m512i r0 = Quarters(column, row);
    const __m512i r1 = Quarters(column + row, row);
    const __m512i r2 = Quarters(column + 2 * row, row);
    const __m512i r3 = Quarters(column + 3 * row, row);
    const __m512i low01 = _mm512_unpacklo_epi32(r0, r1);
    const __m512i high01 = _mm512_unpackhi_epi32(r0, r1);
    const __m512i low23 = _mm512_unpacklo_epi32(r2, r3);
    const __m512i high23 = _mm512_unpackhi_epi32(r2, r3);
    BFloat16* rows = to + 4 * quarter * kTileDepth;
    _mm512_storeu_si512(rows, _mm512_unpacklo_epi64(low01, low23));
    _mm512_storeu_si512(rows + kTileDepth, _mm512_unpackhi_epi64(low01, low23));
    _mm512_storeu_si512(rows + 2 * kTileDepth,
                        _mm512_unpacklo_epi64(high01, high23));
    _mm512_storeu_si512(rows + 3 * kTileDepth,
                        _mm512_unpackhi_epi64(high01, high23));
  }
}

// Sum of products.
inline float Dot(const BFloat16* a, const BFloat16* b, int64_t count) {
  __m512 sums[4] = {};
  for (int64_t i = 0; i < count; i += 4 * kTileDepth) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j) {
      const int64_t at = i + j * kTileDepth;
      sums[j] = _mm512_dpbf16_ps(sums[j], (__m512bh)_mm512_loadu_si512(a + at),
                                 (__m512bh)_mm512_loadu_si512(b + at));
    }
  }
  return SumOf({_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]),
                              _mm512_add_ps(sums[2], sums[3]))});
}

#else

inline void PairRows(const BFloat16* even, const BFloat16* odd, BFloat16* low,
                     BFloat16* high) {
  for (int64_t i = 0; i < kTileLines; ++i) {
    low[2 * i] = even[i];
    low[2 * i + 1] = odd[i];
    high[2 * i] = even[i + kTileLines];
    high[2 * i + 1] = odd[i + kTileLines];
  }
}

inline void FlipTile(const BFloat16* from, int64_t row, BFloat16* to) {
  for (int64_t i = 0; i < kTileLines; ++i) {
    for (int64_t j = 0; j < kTileLines; ++j) {
      to[j * kTileDepth + 2 * i] = from[i * row + 2 * j];
      to[j * kTileDepth + 2 * i + 1] = from[i * row + 2 * j + 1];
    }
  }
}

inline float Dot(const BFloat16* a, const BFloat16* b, int64_t count) {
  float sum = 0.0f;
  for (int64_t i = 0; i < count; ++i) sum += ToFloat(a[i]) * ToFloat(b[i]);
  return sum;
}

#endif

// `rows` and `cols` are multiples of 32; the result has room for
// `depth_tiles` tiles of depth.
inline void PackPairs(const Bf16Rows& from, int64_t rows, int64_t cols,
                      int64_t depth_tiles, BFloat16* to) {
  const int64_t panel = depth_tiles * kTileNumbers;
  for (int64_t i = 0; i < rows; i += 2) {
    BFloat16* pairs = to + i / 2 * kTileDepth;
    for (int64_t c = 0; c < cols; c += 2 * kTileLines) {
      PairRows(from.Row(i) + c, from.Row(i + 1) + c,
               pairs + c / kTileLines * panel,
               pairs + (c / kTileLines + 1) * panel);
    }
  }
}

// Tiles packed one by one, with the same lines and depth.
inline void FlipTiles(const TileOperand& from, int64_t panels,
                      int64_t depth_tiles, int64_t packed_depth_tiles,
                      BFloat16* to) {
  for (int64_t i = 0; i < panels; ++i) {
    for (int64_t k = 0; k < depth_tiles; ++k) {
      FlipTile(from.Tile(i, k), from.row,
               to + (i * packed_depth_tiles + k) * kTileNumbers);
    }
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
