// Launches: shapes, indices, hooks and statistics.

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/device/device.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

using emulated::LaunchHooks;
using emulated::LaunchStatistics;
using emulated::Primitive;
using ::testing::Each;

struct IndexParams {
  int64_t* out;
};

LONGSPAN_KERNEL(1024, 1) IndexKernel(const IndexParams p) {
  const int64_t at = BlockIndex() * BlockThreads() + ThreadIndex();
  p.out[at] += 1000000 * BlockCount() + 1000 * WarpIndex() + LaneIndex();
}

TEST(LaunchTest, RunsEachThreadOfEachBlockOnce) {
  for (int threads : {32, 96, 1024}) {
    std::vector<int64_t> out(static_cast<size_t>(7 * threads), 0);
    ASSERT_EQ(LaunchKernel(IndexKernel, {.blocks = 7, .threads = threads},
                           nullptr, IndexParams{out.data()}),
              0);
    for (size_t i = 0; i < out.size(); ++i) {
      const int thread = static_cast<int>(i) % threads;
      EXPECT_EQ(out[i], 7000000 + 1000 * (thread / 32) + thread % 32);
    }
  }
}

TEST(LaunchTest, RefusesShapesThatTheDeviceDoesNotHave) {
  const IndexParams none{nullptr};
  const auto launch = [&](const LaunchShape& shape) {
    return LaunchKernel(IndexKernel, shape, nullptr, none);
  };
  EXPECT_EQ(launch({.blocks = 0, .threads = 32}), 0);
  EXPECT_NE(launch({.blocks = -1, .threads = 32}), 0);
  EXPECT_NE(launch({.blocks = int64_t{1} << 31, .threads = 32}), 0);
  EXPECT_NE(launch({.blocks = 1, .threads = 0}), 0);
  EXPECT_NE(launch({.blocks = 1, .threads = 48}), 0);
  EXPECT_NE(launch({.blocks = 1, .threads = 1056}), 0);
  EXPECT_NE(launch({.blocks = 1, .threads = 32, .shared_bytes = -1}), 0);
  EXPECT_NE(launch({.blocks = 1, .threads = 32, .shared_bytes = 228 * 1024}),
            0);
}

// Blocks note when they ran.
struct OrderParams {
  std::vector<int64_t>* order;
};

LONGSPAN_KERNEL(32, 1) OrderKernel(const OrderParams p) {
  if (ThreadIndex() == 0) {
    p.order->push_back(BlockIndex());
  }
}

TEST(LaunchTest, BlocksComeInSeededRandomOrder) {
  std::vector<std::vector<int64_t>> orders;
  for (uint64_t seed = 1; seed < 6; ++seed) {
    const emulated::ScopedEmulatorOptions scope({.seed = seed});
    std::vector<int64_t> order;
    ASSERT_EQ(LaunchKernel(OrderKernel, {.blocks = 12, .threads = 32}, nullptr,
                           OrderParams{&order}),
              0);
    EXPECT_THAT(order, ::testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7,
                                                       8, 9, 10, 11));
    orders.push_back(order);
  }
  // 48 orders are possible, and the first may come again, but not always.
  EXPECT_THAT(orders, ::testing::Contains(::testing::Ne(orders[0])));
}

TEST(LaunchTest, ASeedGivesTheSameOrderWhateverRanBefore) {
  std::vector<std::vector<int64_t>> orders(2);
  for (auto& order : orders) {
    const emulated::ScopedEmulatorOptions scope({.seed = 7});
    ASSERT_EQ(LaunchKernel(OrderKernel, {.blocks = 1000, .threads = 32},
                           nullptr, OrderParams{&order}),
              0);
  }
  EXPECT_EQ(orders[0], orders[1]);
}

class RecordingHooks : public LaunchHooks {
 public:
  int Submit(void* native_stream, std::function<int()> run) override {
    stream = native_stream;
    recorded = std::move(run);
    return 0;
  }
  void BeginLaunch() override { ++begun; }
  void EndLaunch() override { ++ended; }

  void* stream = nullptr;
  std::function<int()> recorded;
  int begun = 0;
  int ended = 0;
};

TEST(LaunchTest, HooksDecideWhenAndHowOften) {
  RecordingHooks hooks;
  emulated::SetLaunchHooks(&hooks);
  std::vector<int64_t> out(32, 0);
  int stream = 0;
  EXPECT_EQ(LaunchKernel(IndexKernel, {.blocks = 1, .threads = 32}, &stream,
                         IndexParams{out.data()}),
            0);
  emulated::SetLaunchHooks(nullptr);
  EXPECT_EQ(hooks.stream, &stream);
  EXPECT_EQ(hooks.begun, 0);
  EXPECT_THAT(out, Each(0));
  emulated::SetLaunchHooks(&hooks);
  EXPECT_EQ(hooks.recorded(), 0);
  EXPECT_EQ(hooks.recorded(), 0);
  emulated::SetLaunchHooks(nullptr);
  EXPECT_EQ(hooks.begun, 2);
  EXPECT_EQ(hooks.ended, 2);
  EXPECT_EQ(out[5], 2000010);
}

struct CountParams {
  const unsigned char* in;
};

LONGSPAN_KERNEL(64, 1) CountKernel(const CountParams p) {
  CopyAsync16(SharedMemory() + 16 * ThreadIndex(), p.in, 8);
  CopyAsyncCommit();
  CopyAsyncWait<0>();
  SyncBlock();
  uint32_t a[4];
  uint32_t b[2];
  float d[4] = {};
  LoadMatrix4(a, SharedMemory() + 16 * LaneIndex());
  LoadMatrix2Transposed(b, SharedMemory() + 16 * LaneIndex());
  MmaBf16(d, a, b);
  MmaBf16(d, a, b);
  WarpSum(d[0]);
}

TEST(LaunchTest, CountsWhatItDid) {
  emulated::TakeStatistics();
  const std::vector<unsigned char> in(16);
  ASSERT_EQ(LaunchKernel(CountKernel,
                         {.blocks = 3, .threads = 64, .shared_bytes = 1024},
                         nullptr, CountParams{in.data()}),
            0);
  const auto all = emulated::TakeStatistics();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all.begin()->first, "CountParams in TestBody");
  const LaunchStatistics& counted = all.begin()->second;
  EXPECT_EQ(counted.launches, 1);
  EXPECT_EQ(counted.blocks, 3);
  EXPECT_EQ(counted.threads, 3 * 64);
  EXPECT_EQ(counted.copied_bytes, 3 * 64 * 8);
  EXPECT_EQ(counted.count(Primitive::kCopyAsync), 3 * 64);
  EXPECT_EQ(counted.count(Primitive::kSyncBlock), 3);
  EXPECT_EQ(counted.count(Primitive::kLoadMatrix4), 3 * 2);
  EXPECT_EQ(counted.count(Primitive::kLoadMatrix2Transposed), 3 * 2);
  EXPECT_EQ(counted.count(Primitive::kMmaBf16), 3 * 2 * 2);
  EXPECT_EQ(counted.count(Primitive::kWarpSum), 3 * 2);
  EXPECT_EQ(counted.count(Primitive::kShuffle), 0);
}

TEST(LaunchTest, ThreadsWithoutCollectivesNeedNoJumps) {
  emulated::TakeStatistics();
  std::vector<int64_t> out(40 * 256, 0);
  ASSERT_EQ(LaunchKernel(IndexKernel, {.blocks = 40, .threads = 256}, nullptr,
                         IndexParams{out.data()}),
            0);
  EXPECT_EQ(emulated::TakeStatistics().begin()->second.jumps, 40);
}

TEST(LaunchTest, LaunchesOfSeveralThreadsRunBesideEachOther) {
  std::vector<std::vector<int64_t>> outs(4, std::vector<int64_t>(256, 0));
  std::vector<std::thread> threads;
  for (auto& out : outs) {
    threads.emplace_back([&out] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(LaunchKernel(IndexKernel, {.blocks = 1, .threads = 256},
                               nullptr, IndexParams{out.data()}),
                  0);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const auto& out : outs) {
    EXPECT_EQ(out[255], 20 * (1000000 + 7031));
  }
}

}  // namespace
}  // namespace longspan::kernels::cuda
