#include "kernels/cpu/thread_pool.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace longspan::kernels {
namespace {

TEST(ThreadPool, RunsEveryItemOnce) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 3, 100}) {
      std::vector<int> runs(count, 0);
      pool.ParallelFor(count, [&](int64_t i, int) { ++runs[i]; });
      EXPECT_EQ(runs, std::vector<int>(count, 1)) << threads << " threads";
    }
  }
}

TEST(ThreadPool, ThreadNumbersSelectScratch) {
  ThreadPool pool(4);
  for (int64_t count : {1, 2, 3, 50}) {
    const int64_t limit = std::min<int64_t>(count, 4);
    std::vector<std::atomic<int>> busy(limit);
    std::atomic<bool> shared = false;
    pool.ParallelFor(count, [&](int64_t, int thread) {
      ASSERT_GE(thread, 0);
      ASSERT_LT(thread, limit);
      if (++busy[thread] != 1) shared = true;
      --busy[thread];
    });
    EXPECT_FALSE(shared) << "two items used the same scratch at once";
  }
}

// Plain writes of one loop are visible to the next one and to the caller.
TEST(ThreadPool, LoopsAreOrdered) {
  ThreadPool pool(3);
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 200; ++round) {
    pool.ParallelFor(64, [&](int64_t i, int) { values[i] += i; });
    pool.ParallelFor(64, [&](int64_t i, int) { values[63 - i] += 1; });
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(values[i], 200 * (i + 1));
}

TEST(ThreadPool, PoolsAreIndependent) {
  ThreadPool outer(2), inner_a(2), inner_b(2);
  std::atomic<int> sum = 0;
  outer.ParallelFor(2, [&](int64_t i, int) {
    ThreadPool& pool = i == 0 ? inner_a : inner_b;
    pool.ParallelFor(10, [&](int64_t, int) { ++sum; });
  });
  EXPECT_EQ(sum, 20);
}

}  // namespace
}  // namespace longspan::kernels
