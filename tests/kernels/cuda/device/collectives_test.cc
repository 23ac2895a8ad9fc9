// Shuffles, reductions and votes of a warp.

#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/device/device.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

using emulated::EmulatorOptions;
using emulated::ScopedEmulatorOptions;
using ::testing::Each;

constexpr int kThreads = 64;

struct LaneParams {
  float* out;    // (kThreads)
  int argument;  // of the shuffle
};

// Runs `kernel` in several orders; the outputs are the same in each.
std::vector<float> RunInManyOrders(void (*kernel)(LaneParams), int argument) {
  std::vector<float> first(kThreads);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const ScopedEmulatorOptions scope(EmulatorOptions{.seed = seed});
    std::vector<float> out(kThreads, -1);
    const LaunchShape shape{.blocks = 1, .threads = kThreads};
    EXPECT_EQ(
        LaunchKernel(kernel, shape, nullptr, LaneParams{out.data(), argument}),
        0);
    if (seed == 0) {
      first = out;
    }
    EXPECT_EQ(out, first) << "seed " << seed;
  }
  return first;
}

// Each thread hands in 100 + its index.
template <typename T>
LONGSPAN_KERNEL(kThreads, 1)
ShuffleKernel(const LaneParams p) {
  p.out[ThreadIndex()] =
      static_cast<float>(Shuffle(T(100 + ThreadIndex()), p.argument));
}
template <typename T>
LONGSPAN_KERNEL(kThreads, 1)
ShuffleXorKernel(const LaneParams p) {
  p.out[ThreadIndex()] =
      static_cast<float>(ShuffleXor(T(100 + ThreadIndex()), p.argument));
}
template <typename T>
LONGSPAN_KERNEL(kThreads, 1)
ShuffleUpKernel(const LaneParams p) {
  p.out[ThreadIndex()] =
      static_cast<float>(ShuffleUp(T(100 + ThreadIndex()), p.argument));
}
template <typename T>
LONGSPAN_KERNEL(kThreads, 1)
ShuffleDownKernel(const LaneParams p) {
  p.out[ThreadIndex()] =
      static_cast<float>(ShuffleDown(T(100 + ThreadIndex()), p.argument));
}

template <typename T>
void ExpectShuffles() {
  for (int argument : {0, 1, 5, 16, 31}) {
    const auto broadcast = RunInManyOrders(ShuffleKernel<T>, argument);
    const auto exchanged = RunInManyOrders(ShuffleXorKernel<T>, argument);
    const auto up = RunInManyOrders(ShuffleUpKernel<T>, argument);
    const auto down = RunInManyOrders(ShuffleDownKernel<T>, argument);
    for (int i = 0; i < kThreads; ++i) {
      const int lane = i % 32;
      const int warp = 100 + i - lane;
      const size_t at = static_cast<size_t>(i);
      EXPECT_EQ(broadcast[at], warp + argument);
      EXPECT_EQ(exchanged[at], warp + (lane ^ argument));
      EXPECT_EQ(up[at], warp + (lane < argument ? lane : lane - argument));
      EXPECT_EQ(down[at],
                warp + (lane + argument > 31 ? lane : lane + argument));
    }
  }
}

TEST(ShuffleTest, Float) { ExpectShuffles<float>(); }
TEST(ShuffleTest, Double) { ExpectShuffles<double>(); }
TEST(ShuffleTest, Int) { ExpectShuffles<int>(); }
TEST(ShuffleTest, Uint32) { ExpectShuffles<uint32_t>(); }
TEST(ShuffleTest, Int64) { ExpectShuffles<int64_t>(); }

// 1/3, 1/4, ...: sums whose bits depend on the order of the additions.
float Term(int index) { return 1.0f / static_cast<float>(index + 3); }

LONGSPAN_KERNEL(kThreads, 1) WarpSumKernel(const LaneParams p) {
  p.out[ThreadIndex()] = WarpSum(Term(ThreadIndex()));
}
LONGSPAN_KERNEL(kThreads, 1) ButterflyKernel(const LaneParams p) {
  float value = Term(ThreadIndex());
  for (int distance = 16; distance > 0; distance /= 2) {
    value += ShuffleXor(value, distance);
  }
  p.out[ThreadIndex()] = value;
}

TEST(WarpReduceTest, SumHasTheBitsOfTheButterfly) {
  const auto sums = RunInManyOrders(WarpSumKernel, 0);
  EXPECT_EQ(sums, RunInManyOrders(ButterflyKernel, 0));
  EXPECT_THAT(std::vector<float>(sums.begin(), sums.begin() + 32),
              Each(sums[0]));
  EXPECT_NE(sums[0], sums[32]);
}

LONGSPAN_KERNEL(kThreads, 1) WarpMaxKernel(const LaneParams p) {
  const int index = ThreadIndex();
  p.out[index] =
      WarpMax(index == p.argument ? 7.0f : -static_cast<float>(index));
}

TEST(WarpReduceTest, MaxIsThatOfTheOwnWarp) {
  for (int holder : {0, 13, 31}) {
    const auto maxima = RunInManyOrders(WarpMaxKernel, holder);
    for (int i = 0; i < kThreads; ++i) {
      EXPECT_EQ(maxima[static_cast<size_t>(i)], i < 32 ? 7.0f : -32.0f);
    }
  }
}

// Threads up to the argument hand in true.
LONGSPAN_KERNEL(kThreads, 1) VoteKernel(const LaneParams p) {
  const bool value = ThreadIndex() <= p.argument;
  const uint32_t ballot = WarpBallot(value);
  const bool any = WarpAny(value);
  const bool all = WarpAll(value);
  p.out[ThreadIndex()] = static_cast<float>((any ? 1 : 0) + (all ? 2 : 0) +
                                            4 * std::popcount(ballot));
}

TEST(VoteTest, CountsTheLanesOfTheWarp) {
  EXPECT_THAT(RunInManyOrders(VoteKernel, -1), Each(0.0f));
  EXPECT_THAT(RunInManyOrders(VoteKernel, 63), Each(3.0f + 4 * 32));
  const auto some = RunInManyOrders(VoteKernel, 40);
  EXPECT_EQ(some[5], 3 + 4 * 32);
  EXPECT_EQ(some[50], 1 + 4 * 9);
}

}  // namespace
}  // namespace longspan::kernels::cuda
