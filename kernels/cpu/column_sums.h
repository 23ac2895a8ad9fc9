// Gradients of parameters that every row of a matrix shares: sums over the
// rows, in row order and in double, so that neither the length nor the number
// of threads shows. Making the rows themselves is a pass of its own, cut by
// rows, so that a parameter of a few numbers still keeps all threads busy.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/api/tensor_view.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {

// Columns that a thread sums at once.
inline constexpr int64_t kSumColumns = 64;

// d[n] += sum over rows of x[:, n].
template <typename T>
void AddColumnSums(ConstTensorView x, TensorView d, ThreadPool& pool) {
  ForBlocks(pool, x.size(1), kSumColumns, [&](int64_t begin, int64_t end) {
    double sums[kSumColumns] = {};
    for (int64_t m = 0; m < x.size(0); ++m) {
      const T* row = x.data_as<T>() + m * x.stride(0) + begin;
      for (int64_t n = 0; n < end - begin; ++n) sums[n] += row[n];
    }
    T* to = d.data_as<T>() + begin;
    for (int64_t n = 0; n < end - begin; ++n) {
      to[n] = static_cast<T>(to[n] + sums[n]);
    }
  });
}

// d[h] += sum over rows and the columns n of head h of a[:, n] b[:, n]; heads
// are equally wide. An item is whole heads, so that each has one writer.
template <typename T>
void AddHeadProducts(ConstTensorView a, ConstTensorView b, TensorView d,
                     ThreadPool& pool) {
  const int64_t size = a.size(1) / d.size(0);
  const int64_t grain = std::max<int64_t>(1, kSumColumns / size);
  ForBlocks(pool, d.size(0), grain, [&](int64_t first, int64_t last) {
    for (int64_t at = first * size; at < last * size; at += kSumColumns) {
      const int64_t count = std::min(kSumColumns, last * size - at);
      double sums[kSumColumns] = {};
      for (int64_t m = 0; m < a.size(0); ++m) {
        const T* x = a.data_as<T>() + m * a.stride(0) + at;
        const T* y = b.data_as<T>() + m * b.stride(0) + at;
        for (int64_t n = 0; n < count; ++n) sums[n] += double{x[n]} * y[n];
      }
      for (int64_t n = 0; n < count; ++n) {
        T& to = d.data_as<T>()[(at + n) / size];
        to = static_cast<T>(to + sums[n]);
      }
    }
  });
}

}  // namespace longspan::kernels
