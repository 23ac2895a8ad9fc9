// Cutting row-wise work into items for the thread pool. Items are large enough
// to be worth a thread; nothing here may decide bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "kernels/api/tensor_view.h"
#include "kernels/cpu/thread_pool.h"

namespace longspan::kernels {

// Elements that make an item worth a thread.
inline constexpr int64_t kItemElements = 8192;

// Rows per item for rows of `size` elements.
inline int64_t GrainOf(int64_t size) {
  return std::max<int64_t>(1, kItemElements / std::max<int64_t>(1, size));
}

// body(begin, end) over [0, count) in items of `grain`.
template <typename Body>
void ForBlocks(ThreadPool& pool, int64_t count, int64_t grain,
               const Body& body) {
  pool.ParallelFor((count + grain - 1) / grain, [&](int64_t block, int) {
    body(block * grain, std::min(count, (block + 1) * grain));
  });
}

// Runs of contiguous elements at the same places of up to kMaxViews views of
// equal shape: the whole tensor in pieces if all are contiguous, otherwise the
// rows. Offsets count elements.
class RunSplitter {
 public:
  static constexpr int kMaxViews = 6;

  explicit RunSplitter(std::initializer_list<ConstTensorView> views);

  int64_t run_count() const { return run_count_; }
  int64_t runs_per_item() const { return runs_per_item_; }

  struct Run {
    int64_t size = 0;
    int64_t offsets[kMaxViews] = {};
  };
  Run RunAt(int64_t index) const;

 private:
  int view_count_ = 0;
  ConstTensorView views_[kMaxViews];
  bool contiguous_ = true;
  int64_t elements_ = 0;
  int64_t run_count_ = 0;
  int64_t runs_per_item_ = 1;
};

// body(run) for every run.
template <typename Body>
void ForRuns(ThreadPool& pool, std::initializer_list<ConstTensorView> views,
             const Body& body) {
  const RunSplitter splitter(views);
  ForBlocks(pool, splitter.run_count(), splitter.runs_per_item(),
            [&](int64_t begin, int64_t end) {
              for (int64_t i = begin; i < end; ++i) body(splitter.RunAt(i));
            });
}

}  // namespace longspan::kernels
