// The matrix products of a chunk, over register tiles.
#pragma once

#include "kernels/cpu/chunk_decay.h"
#include "kernels/cpu/chunk_pack.h"
#include "kernels/cpu/tile_product.h"

namespace longspan::kernels::LONGSPAN_ISA {

// scores[i][j] = weights(i, j) * sum_c a(i, c) b(j, c) for the tiles that touch
// j <= i; `b` is packed transposed. Rows of `scores` are kChunk apart; those
// from `rows` on are undefined.
template <typename T, typename Between = Idle>
void MaskedScores(const PanelMatrix<T>& a, const PanelMatrix<T>& b,
                  int64_t rows, const ChunkDecay<T>& decay, T* scores,
                  const Between& between = {}) {
  const int64_t weight_stride = decay.weight_stride();
  for (int64_t i = 0; i < rows; i += kTileRows) {
    const auto score_tile = [&](auto nv, auto stride, int64_t col) {
      Tile<T, nv.kValue> tile;
      tile.Clear();
      tile.AddPanelRows(a, i, b.Panel(col), stride, between);
      tile.Weight(decay.weights(i, col), weight_stride);
      tile.StoreAll(scores + i * kChunk + col, kChunk);
    };
    for (int64_t col = 0; col < i + kTileRows && col < b.cols;
         col += kPanelLanes<T>) {
      constexpr IntConstant<kPanelLanes<T>> kWidth;
      if (b.Width(col) < kWidth) {
        score_tile(IntConstant<1>{}, IntConstant<kLanes<T>>{}, col);
      } else if (col + kLanes<T> >= i + kTileRows) {
        score_tile(IntConstant<1>{}, kWidth, col);
      } else {
        score_tile(IntConstant<kPanelVectors>{}, kWidth, col);
      }
    }
  }
}

// to = begin + a^T b, where a, panels or rows, and b have n rows;
// begin(tile, offset, row, col, width) sets the tile at (row, col) of `to`,
// whose elements begin at `offset` and whose rows are `width` apart.
template <typename T, typename Matrix, typename Begin, typename Between>
LONGSPAN_INLINE void AddStateProduct(const Matrix& a, const PanelMatrix<T>& b,
                                     int64_t n, const Begin& begin,
                                     const PanelMatrix<T>& to,
                                     const Between& between) {
  ForEachPanel<T>(to.cols, [&](auto nv, int64_t col) {
    const int64_t width = to.Width(col);
    for (int64_t row = 0; row < to.rows; row += kTileRows) {
      Tile<T, nv.kValue> tile;
      const int64_t offset = col * to.rows + row * width;
      begin(tile, offset, row, col, width);
      tile.AddColumns(a.Column(row), a.RowStride(row), b.Panel(col),
                      tile.kPanelStride, n, between);
      tile.StoreAll(to.data + offset, width);
    }
  });
}

// to = factor * from + a^T b. `from` null stands for zero; it may be `to`.
template <typename T, typename Matrix, typename Between = Idle>
void UpdateState(const Matrix& a, const PanelMatrix<T>& b, int64_t n, T factor,
                 const T* from, const PanelMatrix<T>& to,
                 const Between& between = {}) {
  AddStateProduct(
      a, b, n,
      [&](auto& tile, int64_t offset, int64_t, int64_t, int64_t width) {
        if (from == nullptr) return tile.Clear();
        tile.LoadScaled(from + offset, width, factor);
      },
      to, between);
}

// The same with a factor per row of the state.
template <typename T, typename Matrix, typename Between = Idle>
void UpdateStateRows(const Matrix& a, const PanelMatrix<T>& b, int64_t n,
                     const T* factors, const T* from, const PanelMatrix<T>& to,
                     const Between& between = {}) {
  AddStateProduct(
      a, b, n,
      [&](auto& tile, int64_t offset, int64_t row, int64_t, int64_t width) {
        if (from == nullptr) return tile.Clear();
        tile.LoadScaled(from + offset, width, T{1});
        tile.ScaleRows(factors + row);
      },
      to, between);
}

// The same with a factor per column.
template <typename T, typename Matrix, typename Between = Idle>
void UpdateStateColumns(const Matrix& a, const PanelMatrix<T>& b, int64_t n,
                        const T* factors, const T* from,
                        const PanelMatrix<T>& to, const Between& between = {}) {
  AddStateProduct(
      a, b, n,
      [&](auto& tile, int64_t offset, int64_t, int64_t col, int64_t width) {
        if (from == nullptr) return tile.Clear();
        tile.LoadScaled(from + offset, width, T{1});
        tile.ScaleColumns(factors + col);
      },
      to, between);
}

}  // namespace longspan::kernels::LONGSPAN_ISA
