// Sums over rows of a parameter's gradient, the same bits for any number of
// threads: rows are cut into blocks (RowSumBlocks), a block into runs of
// kSumRows. A run is summed in T, the runs of a block and the blocks in double,
// because a long sum of equal signs in f32 stops growing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/api/tensor_view.h"
#include "kernels/cost/matmul_tiles.h"
#include "kernels/cost/op_blocks.h"
#include "kernels/cpu/thread_pool.h"

namespace longspan::kernels {

template <typename T>
class RowSums {
 public:
  // Of `numbers` sums; `workspace` has RowSumBytes and outlives this.
  RowSums(int64_t rows, int64_t numbers, TensorView workspace)
      : rows_(rows),
        numbers_(numbers),
        blocks_(RowSumBlocks(rows)),
        totals_(static_cast<double*>(workspace.data())),
        runs_(reinterpret_cast<T*>(totals_ + blocks_ * numbers)) {}

  // body(begin, end, sums) adds rows [begin, end) to `sums`, which are zero.
  template <typename Body>
  void Sum(ThreadPool& pool, const Body& body) const {
    pool.ParallelFor(blocks_, [&](int64_t block, int) {
      double* totals = totals_ + block * numbers_;
      T* sums = runs_ + block * numbers_;
      std::fill_n(totals, numbers_, 0.0);
      const int64_t end = PartBegin(rows_, blocks_, block + 1);
      for (int64_t row = PartBegin(rows_, blocks_, block); row < end;
           row += kSumRows) {
        std::fill_n(sums, numbers_, T{0});
        body(row, std::min(end, row + kSumRows), sums);
        for (int64_t i = 0; i < numbers_; ++i) totals[i] += sums[i];
      }
    });
  }

  // gradient += the sums from number `first` on, blocks in order. The gradient
  // is contiguous.
  void AddTo(int64_t first, const TensorView& gradient) const {
    T* to = gradient.data_as<T>();
    for (int64_t i = 0; i < gradient.element_count(); ++i) {
      double sum = 0.0;
      for (int64_t block = 0; block < blocks_; ++block) {
        sum += totals_[block * numbers_ + first + i];
      }
      to[i] = static_cast<T>(to[i] + sum);
    }
  }

 private:
  const int64_t rows_;
  const int64_t numbers_;
  const int64_t blocks_;
  double* const totals_;  // [blocks, numbers]
  T* const runs_;         // [blocks, numbers]
};

}  // namespace longspan::kernels
