// Register tiles: kTileRows x (NV vectors) accumulators that multiply rows or
// columns of A with a packed panel of B.
//
// A panel is a row-major slab of B with kPanelLanes columns, so that one step
// of the inner loop reads NV consecutive vectors; matrices are lists of panels
// (PanelMatrix). A's elements are broadcast from memory. All loops over a tile
// are unrolled, so a tile lives in registers.
#pragma once

#include "kernels/cpu/simd.h"

namespace longspan::kernels::LONGSPAN_ISA {

// 8 x 2 of 32 registers, or 4 x 2 of 16: enough independent sums to hide the
// latency of a multiply-add, few enough broadcasts for two loads per cycle.
inline constexpr int kTileRows = LONGSPAN_VECTOR_BYTES == 64 ? 8 : 4;
inline constexpr int kPanelVectors = 2;
template <typename T>
inline constexpr int kPanelLanes = kPanelVectors* kLanes<T>;

// [rows, cols] as panels of kPanelLanes columns; the last one may be half as
// wide. cols is a multiple of kLanes.
template <typename T>
struct PanelMatrix {
  T* data;
  int64_t rows;
  int64_t cols;

  T* Panel(int64_t col) const { return data + col * rows; }
  // Element (0, col); rows are Width(start of col's panel) apart.
  T* Column(int64_t col) const {
    const int64_t panel = col / kPanelLanes<T> * kPanelLanes<T>;
    return Panel(panel) + (col - panel);
  }
  int64_t RowStride(int64_t col) const {
    return Width(col / kPanelLanes<T> * kPanelLanes<T>);
  }
  int64_t Width(int64_t col) const {
    return cols - col < kPanelLanes<T> ? cols - col : kPanelLanes<T>;
  }
};

// Rows of an operand in memory: row i begins at data + i * stride.
template <typename T>
struct StridedRows {
  T* data;
  int64_t stride;

  T* Row(int64_t i) const { return data + i * stride; }
  T* Column(int64_t col) const { return data + col; }
  int64_t RowStride(int64_t) const { return stride; }
};

// Done between the slabs of a product: nothing.
struct Idle {
  void operator()() const {}
};

// Steps of a slab.
inline constexpr int64_t kSlab = 32;

// A number that the compiler knows.
template <int value>
struct IntConstant {
  static constexpr int kValue = value;
  constexpr operator int64_t() const { return value; }
};

template <typename T, int NV>
struct Tile {
  // Between the rows of a panel that is as wide as the tile. Strides are
  // template arguments below, because a product's addresses cost registers
  // unless they are offsets.
  static constexpr IntConstant<NV * kLanes<T>> kPanelStride{};

  Vec<T> sum[kTileRows][NV];

  LONGSPAN_INLINE void Clear() {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
    }
  }

  // Rows of B-like memory, times `factor`.
  LONGSPAN_INLINE void LoadScaled(const T* from, int64_t stride, T factor) {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        sum[i][j] = factor * Load(from + i * stride + j * kLanes<T>);
      }
    }
  }

  LONGSPAN_INLINE void StoreAll(T* to, int64_t stride) const {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        Store(to + i * stride + j * kLanes<T>, sum[i][j]);
      }
    }
  }

  LONGSPAN_INLINE void AddAll(T* to, int64_t stride) const {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        T* at = to + i * stride + j * kLanes<T>;
        Store(at, Load(at) + sum[i][j]);
      }
    }
  }

  // lanes[i] += row i of the tile times row i of `b`, not yet summed over
  // lanes.
  LONGSPAN_INLINE void AddRowProducts(const T* b, int64_t b_stride,
                                      T* lanes) const {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
      Vec<T> products = Load(lanes + i * kLanes<T>);
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        products += sum[i][j] * Load(b + i * b_stride + j * kLanes<T>);
      }
      Store(lanes + i * kLanes<T>, products);
    }
  }

  LONGSPAN_INLINE void StreamAll(T* to, int64_t stride) const {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        Stream(to + i * stride + j * kLanes<T>, sum[i][j]);
      }
    }
  }

  // Row i times factors[i].
  LONGSPAN_INLINE void ScaleRows(const T* factors) {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) sum[i][j] *= factors[i];
    }
  }

  LONGSPAN_INLINE void ScaleAll(T factor) {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) sum[i][j] *= factor;
    }
  }

  // Column j times factors[j].
  LONGSPAN_INLINE void ScaleColumns(const T* factors) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      const Vec<T> factor = Load(factors + j * kLanes<T>);
#pragma GCC unroll 8
      for (int i = 0; i < kTileRows; ++i) sum[i][j] *= factor;
    }
  }

  // Element-wise by a matrix in memory; its rows may overlap (Toeplitz).
  LONGSPAN_INLINE void Weight(const T* weights, int64_t stride) {
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        sum[i][j] *= Load(weights + i * stride + j * kLanes<T>);
      }
    }
  }

  // sum += a b for one step: the tile's kTileRows factors, one row of B.
  template <typename Factor>
  LONGSPAN_INLINE void AddOuter(const Factor& factor, const T* b) {
    Vec<T> row[NV];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) row[j] = Load(b + j * kLanes<T>);
#pragma GCC unroll 8
    for (int i = 0; i < kTileRows; ++i) {
      const T a = factor(i);
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) sum[i][j] += a * row[j];
    }
  }

  // sum += A B with A given by rows. Four steps at a time, so that moving the
  // rows' pointers costs little.
  template <typename Stride, typename Between = Idle>
  LONGSPAN_INLINE void AddRows(const T* const (&a)[kTileRows], const T* b,
                               Stride b_stride, int64_t count,
                               const Between& between = {}) {
    int64_t k = 0;
    while (k + 4 <= count) {
      between();
      const int64_t end = k + kSlab < count ? k + kSlab : count;
      for (; k + 4 <= end; k += 4, b += 4 * b_stride) {
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) {
          AddOuter([&](int i) { return a[i][k + u]; }, b + u * b_stride);
        }
      }
    }
    for (; k < count; ++k, b += b_stride) {
      AddOuter([&](int i) { return a[i][k]; }, b);
    }
  }

  // The same with rows [row, row + kTileRows) of packed A, all its columns.
  template <typename Stride, typename Between = Idle>
  LONGSPAN_INLINE void AddPanelRows(const PanelMatrix<T>& a, int64_t row,
                                    const T* b, Stride b_stride,
                                    const Between& between = {}) {
    constexpr IntConstant<kPanelLanes<T>> kWidth;
    constexpr IntConstant<kLanes<T>> kHalf;
    int64_t col = 0;
    for (; col + kWidth <= a.cols; col += kWidth) {
      between();
      AddSlab(a.Panel(col) + row * kWidth, kWidth, b + col * b_stride,
              b_stride);
    }
    if (col == a.cols) return;
    AddSlab(a.Panel(col) + row * kHalf, kHalf, b + col * b_stride, b_stride);
  }

  // The same with the first kTileRows rows of `a`, which is `width` wide.
  template <typename Width, typename Stride>
  LONGSPAN_INLINE void AddSlab(const T* a, Width width, const T* b,
                               Stride b_stride) {
    constexpr int kSteps = Width::kValue < 4 ? Width::kValue : 4;
    for (int64_t k = 0; k < width; k += kSteps) {
#pragma GCC unroll 4
      for (int u = 0; u < kSteps; ++u) {
        AddOuter([&](int i) { return a[i * width + u]; }, b + u * b_stride);
      }
      a += kSteps;
      b += kSteps * b_stride;
    }
  }

  // sum += A^T B with A row-major [k, a_stride]: its columns are our rows.
  template <typename StrideA, typename StrideB, typename Between = Idle>
  LONGSPAN_INLINE void AddColumns(const T* a, StrideA a_stride, const T* b,
                                  StrideB b_stride, int64_t count,
                                  const Between& between = {}) {
    for (int64_t first = 0; first < count; first += kSlab) {
      between();
      const int64_t end = first + kSlab < count ? first + kSlab : count;
      for (int64_t k = first; k < end; ++k, a += a_stride, b += b_stride) {
        AddOuter([&](int i) { return a[i]; }, b);
      }
    }
  }

  // Writes (or adds to) the first `rows` rows and `cols` columns of `to`, past
  // the caches if `stream`.
  LONGSPAN_INLINE void StoreBlock(const StridedRows<T>& to, int64_t rows,
                                  int64_t cols, bool add,
                                  bool stream = false) const {
    if (rows >= kTileRows && cols >= NV * kLanes<T>) {
      if (add) return AddAll(to.data, to.stride);
      return stream ? StreamAll(to.data, to.stride)
                    : StoreAll(to.data, to.stride);
    }
    Tile copy = *this;
    for (int64_t i = 0; i < rows && i < kTileRows; ++i) {
      T* row = to.Row(i);
      for (int j = 0; j < NV && j * kLanes<T> < cols; ++j) {
        const int64_t left = cols - j * kLanes<T>;
        Vec<T> value = copy.sum[i][j];
        if (add) value += LoadFirst(row + j * kLanes<T>, left);
        StoreFirst(row + j * kLanes<T>, value, left);
      }
    }
  }
};

// Pointers to kTileRows rows from `first`; rows past the last one repeat it,
// so that tiles at the end read valid memory (their results are dropped).
template <typename T>
LONGSPAN_INLINE void RowPointers(const StridedRows<const T>& rows,
                                 int64_t first, int64_t count,
                                 const T* (&pointers)[kTileRows]) {
#pragma GCC unroll 8
  for (int i = 0; i < kTileRows; ++i) {
    const int64_t row = first + i < count ? first + i : count - 1;
    pointers[i] = rows.data + row * rows.stride;
  }
}

// Calls fn(IntConstant<NV>, col) for each panel (or half panel at the end).
template <typename T, typename Fn>
LONGSPAN_INLINE void ForEachPanel(int64_t cols, const Fn& fn) {
  int64_t col = 0;
  for (; col + kPanelLanes<T> <= cols; col += kPanelLanes<T>) {
    fn(IntConstant<kPanelVectors>{}, col);
  }
  if (col < cols) fn(IntConstant<1>{}, col);
}

}  // namespace longspan::kernels::LONGSPAN_ISA
