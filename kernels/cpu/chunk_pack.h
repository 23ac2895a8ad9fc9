// Packing a chunk's rows for the register tiles. All packed columns past the
// operand's width are zero, so products over them add nothing.
#pragma once

#include "kernels/cost/vector_pad.h"
#include "kernels/cpu/tile_product.h"

namespace longspan::kernels::LONGSPAN_ISA {

// to(i, c) = factors[i] * from(i, c), into panels. `factors` may be null (1).
template <typename T>
void PackPanels(const StridedRows<const T>& from, int64_t rows, int64_t cols,
                const T* factors, const PanelMatrix<T>& to) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = from.Row(i);
    const T factor = factors == nullptr ? T{1} : factors[i];
    ForEachPanel<T>(to.cols, [&](auto nv, int64_t panel) {
      T* out = to.Panel(panel) + i * nv.kValue * kLanes<T>;
#pragma GCC unroll 2
      for (int64_t lane = 0; lane < nv.kValue * kLanes<T>; lane += kLanes<T>) {
        const int64_t left = cols - panel - lane;
        Vec<T> value = {};
        if (left > 0) value = LoadFirst(row + panel + lane, left);
        Store(out + lane, factor * value);
      }
    });
  }
}

// The same into plain rows of `to_stride` elements.
template <typename T>
void PackRows(const StridedRows<const T>& from, int64_t rows, int64_t cols,
              const T* factors, T* to, int64_t to_stride) {
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = from.Row(i);
    const T factor = factors == nullptr ? T{1} : factors[i];
    for (int64_t col = 0; col < to_stride; col += kLanes<T>) {
      Vec<T> value = {};
      if (cols > col) value = LoadFirst(row + col, cols - col);
      Store(to + i * to_stride + col, factor * value);
    }
  }
}

// Reads one square block at (row, col), zero outside [rows, cols].
template <typename T>
LONGSPAN_INLINE void LoadSquare(const StridedRows<const T>& from, int64_t row,
                                int64_t col, int64_t rows, int64_t cols,
                                Vec<T> (&block)[kLanes<T>]) {
  if (row + kLanes<T> <= rows && col + kLanes<T> <= cols) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      block[i] = Load(from.Row(row + i) + col);
    }
    return;
  }
  for (int i = 0; i < kLanes<T>; ++i) {
    block[i] = Vec<T>{};
    if (row + i < rows && col < cols) {
      block[i] = LoadFirst(from.Row(row + i) + col, cols - col);
    }
  }
}

// to(c, first + i) = from(i, c) for `count` columns i of `to`, a multiple of
// kLanes as `first` is; rows of `to` past the `cols` columns of `from`, and its
// columns past the `rows` rows, become zero.
template <typename T>
void PackTransposedAt(const StridedRows<const T>& from, int64_t rows,
                      int64_t cols, int64_t first, int64_t count,
                      const PanelMatrix<T>& to) {
  for (int64_t row = 0; row < count; row += kLanes<T>) {
    const int64_t panel = (first + row) / kPanelLanes<T> * kPanelLanes<T>;
    const int64_t stride = to.Width(panel);
    T* out = to.Panel(panel) + (first + row - panel);
    for (int64_t col = 0; col < to.rows; col += kLanes<T>) {
      Vec<T> block[kLanes<T>];
      LoadSquare(from, row, col, rows, cols, block);
      Transpose<T>(block);
#pragma GCC unroll 16
      for (int c = 0; c < kLanes<T>; ++c) {
        Store(out + (col + c) * stride, block[c]);
      }
    }
  }
}

// The whole of `to`, which has to.cols >= rows columns.
template <typename T>
void PackTransposed(const StridedRows<const T>& from, int64_t rows,
                    int64_t cols, const PanelMatrix<T>& to) {
  PackTransposedAt(from, rows, cols, 0, to.cols, to);
}

// Panels to panels, transposed. Both are padded to kLanes in both directions.
template <typename T>
void TransposePanels(const PanelMatrix<T>& from, const PanelMatrix<T>& to) {
  for (int64_t col = 0; col < from.cols; col += kLanes<T>) {
    const int64_t panel = col / kPanelLanes<T> * kPanelLanes<T>;
    const StridedRows<const T> slab = {from.Panel(panel) + (col - panel),
                                       from.Width(panel)};
    // These columns become rows [col, col + kLanes) of `to`.
    for (int64_t row = 0; row < from.rows; row += kLanes<T>) {
      Vec<T> block[kLanes<T>];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes<T>; ++i) block[i] = Load(slab.Row(row + i));
      Transpose<T>(block);
      const int64_t to_panel = row / kPanelLanes<T> * kPanelLanes<T>;
      const int64_t stride = to.Width(to_panel);
      T* out = to.Panel(to_panel) + (row - to_panel) + col * stride;
#pragma GCC unroll 16
      for (int c = 0; c < kLanes<T>; ++c) Store(out + c * stride, block[c]);
    }
  }
}

template <typename T>
void FillZero(T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = T{0};
}

// A packed state back to plain rows.
template <typename T>
void UnpackPanels(const PanelMatrix<T>& from, const StridedRows<T>& to,
                  int64_t rows, int64_t cols) {
  for (int64_t col = 0; col < cols; col += kLanes<T>) {
    const int64_t panel = col / kPanelLanes<T> * kPanelLanes<T>;
    const int64_t stride = from.Width(panel);
    const T* in = from.Panel(panel) + (col - panel);
    for (int64_t i = 0; i < rows; ++i) {
      StoreFirst(to.Row(i) + col, Load(in + i * stride), cols - col);
    }
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
