// What the delta rule writes in a chunk: with L_ij = sum_c k_ic k_jc (decay of
// token j up to i) below the diagonal, and r_i = k_i S of the decayed entering
// state,
//
//     z_i = v_i - r_i - sum_{j < i} L_ij u_j          u_i = beta_i z_i
//
// forwards, and for its gradients, with n_i = -beta_i y_i,
//
//     y_j = d_u_j + sum_{i > j} L_ij n_i
//
// backwards. These solve the inside of a strip; what other strips contribute is
// a product of matrices. Rows are `stride` elements apart, scores kChunk.
#pragma once

#include "kernels/cpu/chunk_strip.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class StripSolve {
 public:
  // beta(i) of the chunk's row i.
  StripSolve(const Strip& strip, const T* key_scores, const T* beta,
             int64_t beta_stride)
      : strip_(strip),
        rows_(strip.last - strip.first),
        scores_(key_scores + strip.first * kChunk + strip.first) {
    for (int64_t i = 0; i < rows_; ++i) {
      beta_[i] = beta[(strip.first + i) * beta_stride];
    }
  }

  // `rests` holds r with the terms of earlier strips, and receives z; `values`
  // null stands for zero.
  void Forward(const StridedRows<const T>& values, int64_t value_dim, T* rests,
               T* solved, int64_t stride) const {
    for (int64_t col = 0; col < stride; col += kLanes<T>) {
      Vec<T> written[kStrip];
      for (int64_t i = 0; i < rows_; ++i) {
        const int64_t row = strip_.first + i;
        Vec<T> z = {};
        if (values.data != nullptr && col < value_dim) {
          z = LoadFirst(values.Row(row) + col, value_dim - col);
        }
        z -= Load(rests + row * stride + col);
        for (int64_t j = 0; j < i; ++j) {
          z -= scores_[i * kChunk + j] * written[j];
        }
        written[i] = beta_[i] * z;
        Store(rests + row * stride + col, z);
        Store(solved + row * stride + col, written[i]);
      }
    }
  }

  // `d_solved` holds d_u with the terms of later strips, and receives y.
  void Backward(T* d_solved, T* negated, int64_t stride) const {
    for (int64_t col = 0; col < stride; col += kLanes<T>) {
      Vec<T> later[kStrip];
      for (int64_t j = rows_ - 1; j >= 0; --j) {
        const int64_t row = strip_.first + j;
        Vec<T> y = Load(d_solved + row * stride + col);
        for (int64_t i = j + 1; i < rows_; ++i) {
          y += scores_[i * kChunk + j] * later[i];
        }
        later[j] = -beta_[j] * y;
        Store(d_solved + row * stride + col, y);
        Store(negated + row * stride + col, later[j]);
      }
    }
  }

 private:
  const Strip& strip_;
  const int64_t rows_;
  const T* const scores_;
  T beta_[kStrip];
};

}  // namespace longspan::kernels::LONGSPAN_ISA
