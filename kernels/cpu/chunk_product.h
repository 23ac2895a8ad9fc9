// The matrix products of a chunk, over register tiles.
#pragma once

#include "kernels/cpu/chunk_decay.h"
#include "kernels/cpu/chunk_pack.h"
#include "kernels/cpu/tile_product.h"

namespace longspan::kernels::LONGSPAN_ISA {

// scores[i][j] = weights(i, j) * sum_c a(i, c) b(j, c) for the tiles that touch
// j <= i; `b` is packed transposed. Rows of `scores` are kChunk apart.
template <typename T>
void MaskedScores(const StridedRows<const T>& a, const PanelMatrix<T>& b,
                  int64_t rows, int64_t depth, const ChunkDecay<T>& decay,
                  T* scores) {
  const int64_t weight_stride = decay.weight_stride();
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const T* a_rows[kTileRows];
    RowPointers(a, i, rows, a_rows);
    const auto score_tile = [&](auto nv, int64_t col) {
      Tile<T, nv.kValue> tile;
      tile.Clear();
      tile.AddRows(a_rows, b.Panel(col), b.Width(col), depth);
      tile.Weight(decay.weights(i, col), weight_stride);
      tile.StoreAll(scores + i * kChunk + col, kChunk);
    };
    for (int64_t col = 0; col < i + kTileRows && col < b.cols;
         col += kPanelLanes<T>) {
      const bool half =
          col + kLanes<T> >= i + kTileRows || b.Width(col) == kLanes<T>;
      if (half) {
        score_tile(IntConstant<1>{}, col);
      } else {
        score_tile(IntConstant<kPanelVectors>{}, col);
      }
    }
  }
}

// to = begin + a^T b, where a is [n, a_stride] row-major and b has n rows;
// begin(tile, offset, row, col, width) sets the tile at (row, col) of `to`,
// whose elements begin at `offset` and whose rows are `width` apart.
template <typename T, typename Begin>
LONGSPAN_INLINE void AddStateProduct(const T* a, int64_t a_stride,
                                     const PanelMatrix<T>& b, int64_t n,
                                     const Begin& begin,
                                     const PanelMatrix<T>& to) {
  ForEachPanel<T>(to.cols, [&](auto nv, int64_t col) {
    const int64_t width = to.Width(col);
    for (int64_t row = 0; row < to.rows; row += kTileRows) {
      Tile<T, nv.kValue> tile;
      const int64_t offset = col * to.rows + row * width;
      begin(tile, offset, row, col, width);
      tile.AddColumns(a + row, a_stride, b.Panel(col), width, n);
      tile.StoreAll(to.data + offset, width);
    }
  });
}

// to = factor * from + a^T b. `from` null stands for zero; it may be `to`.
template <typename T>
void UpdateState(const T* a, int64_t a_stride, const PanelMatrix<T>& b,
                 int64_t n, T factor, const T* from, const PanelMatrix<T>& to) {
  AddStateProduct(
      a, a_stride, b, n,
      [&](auto& tile, int64_t offset, int64_t, int64_t, int64_t width) {
        if (from == nullptr) return tile.Clear();
        tile.LoadScaled(from + offset, width, factor);
      },
      to);
}

// The same with a factor per row of the state.
template <typename T>
void UpdateStateRows(const T* a, int64_t a_stride, const PanelMatrix<T>& b,
                     int64_t n, const T* factors, const T* from,
                     const PanelMatrix<T>& to) {
  AddStateProduct(
      a, a_stride, b, n,
      [&](auto& tile, int64_t offset, int64_t row, int64_t, int64_t width) {
        if (from == nullptr) return tile.Clear();
        tile.LoadScaled(from + offset, width, T{1});
        tile.ScaleRows(factors + row);
      },
      to);
}

// The same with a factor per column.
template <typename T>
void UpdateStateColumns(const T* a, int64_t a_stride, const PanelMatrix<T>& b,
                        int64_t n, const T* factors, const T* from,
                        const PanelMatrix<T>& to) {
  AddStateProduct(
      a, a_stride, b, n,
      [&](auto& tile, int64_t offset, int64_t, int64_t col, int64_t width) {
        if (from == nullptr) return tile.Clear();
        tile.LoadScaled(from + offset, width, T{1});
        tile.ScaleColumns(factors + col);
      },
      to);
}

}  // namespace longspan::kernels::LONGSPAN_ISA
