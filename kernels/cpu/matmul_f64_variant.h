// Matrix product in double: panels of b are packed into a buffer on the stack
// and multiplied in register tiles. oneDNN has no f64 product.
#pragma once

#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/vector.h"

namespace longspan::kernels::LONGSPAN_VARIANT {

inline constexpr int64_t kTileRows = 4;
inline constexpr int64_t kTileColumns = 2 * kLanes<double>;
inline constexpr int64_t kPanelInner = 256;

// panel[k][n], zero beyond the matrix.
inline void PackPanel(const MatMulF64& p, int64_t k0, int64_t depth, int64_t n0,
                      double* panel) {
  for (int64_t k = 0; k < depth; ++k) {
    const double* row = p.b + (k0 + k) * p.b_row + n0 * p.b_column;
    for (int64_t n = 0; n < kTileColumns; ++n) {
      panel[k * kTileColumns + n] =
          n0 + n < p.columns ? row[n * p.b_column] : 0.0;
    }
  }
}

template <int kRows>
void MultiplyTile(const MatMulF64& p, int64_t m0, int64_t k0, int64_t depth,
                  int64_t n0, const double* panel, bool add) {
  Vector<double> low[kRows] = {};
  Vector<double> high[kRows] = {};
  const double* a = p.a + m0 * p.a_row + k0 * p.a_column;
  for (int64_t k = 0; k < depth; ++k) {
    const Vector<double> b_low = Load(panel + k * kTileColumns);
    const Vector<double> b_high =
        Load(panel + k * kTileColumns + kLanes<double>);
    for (int row = 0; row < kRows; ++row) {
      const double value = a[row * p.a_row + k * p.a_column];
      low[row] += value * b_low;
      high[row] += value * b_high;
    }
  }
  const int64_t left = p.columns - n0;
  for (int row = 0; row < kRows; ++row) {
    double* c = p.c + (m0 + row) * p.c_row + n0;
    double* c_high = c + kLanes<double>;
    const int64_t left_high = left - kLanes<double>;
    if (add) low[row] += Load(c, left);
    Store<double>(c, low[row], left);
    if (left_high <= 0) continue;
    if (add) high[row] += Load(c_high, left_high);
    Store<double>(c_high, high[row], left_high);
  }
}

inline void MatMul(const MatMulF64& p) {
  alignas(64) double panel[kPanelInner * kTileColumns];
  for (int64_t n0 = 0; n0 < p.columns; n0 += kTileColumns) {
    for (int64_t k0 = 0; k0 < p.inner; k0 += kPanelInner) {
      const int64_t rest = p.inner - k0;
      const int64_t depth = rest < kPanelInner ? rest : kPanelInner;
      const bool add = p.accumulate || k0 > 0;
      PackPanel(p, k0, depth, n0, panel);
      int64_t m = 0;
      for (; m + kTileRows <= p.rows; m += kTileRows) {
        MultiplyTile<kTileRows>(p, m, k0, depth, n0, panel, add);
      }
      for (; m < p.rows; ++m) {
        MultiplyTile<1>(p, m, k0, depth, n0, panel, add);
      }
    }
  }
}

}  // namespace longspan::kernels::LONGSPAN_VARIANT
