// Barriers, and the bugs that an order of warps, poison or a deadlock shows.

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/device/device.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

using emulated::EmulatorOptions;
using emulated::kLaunchFailure;
using emulated::ScopedEmulatorOptions;
using emulated::TakeLaunchFailures;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int kMirrorThreads = 128;
constexpr uint64_t kMirrorOrders = 20;

struct TileParams {
  const float* in;  // (steps, kMirrorThreads)
  float* out;       // (steps, kMirrorThreads): in, mirrored
  int steps;
  bool first_barrier;
  bool second_barrier;
};

float* SharedFloats() { return reinterpret_cast<float*>(SharedMemory()); }

// Each step mirrors kMirrorThreads values through shared memory.
LONGSPAN_KERNEL(kMirrorThreads, 1) MirrorKernel(const TileParams p) {
  const int t = ThreadIndex();
  for (int step = 0; step < p.steps; ++step) {
    SharedFloats()[t] = p.in[step * kMirrorThreads + t];
    if (p.first_barrier) {
      SyncBlock();
    }
    p.out[step * kMirrorThreads + t] = SharedFloats()[kMirrorThreads - 1 - t];
    if (p.second_barrier) {
      SyncBlock();
    }
  }
}

// In how many of the orders the result is wrong.
int WrongOrders(TileParams params) {
  std::vector<float> in(static_cast<size_t>(params.steps) * kMirrorThreads);
  for (size_t i = 0; i < in.size(); ++i) {
    in[i] = static_cast<float>(i);
  }
  int wrong = 0;
  for (uint64_t seed = 0; seed < kMirrorOrders; ++seed) {
    const ScopedEmulatorOptions scope(EmulatorOptions{.seed = seed});
    std::vector<float> out(in.size(), -1);
    params.in = in.data();
    params.out = out.data();
    EXPECT_EQ(LaunchKernel(MirrorKernel,
                           {.blocks = 1,
                            .threads = kMirrorThreads,
                            .shared_bytes = kMirrorThreads * 4},
                           nullptr, params),
              0);
    bool right = true;
    for (size_t i = 0; i < in.size(); ++i) {
      const size_t t = i % kMirrorThreads;
      right = right && out[i] == in[i - t + kMirrorThreads - 1 - t];
    }
    wrong += right ? 0 : 1;
  }
  return wrong;
}

TEST(SyncBlockTest, EveryOrderIsRightWithBothBarriers) {
  EXPECT_EQ(
      WrongOrders({.steps = 5, .first_barrier = true, .second_barrier = true}),
      0);
}

TEST(SyncBlockTest, AMissingBarrierBeforeTheReadIsCaught) {
  EXPECT_GE(
      WrongOrders({.steps = 1, .first_barrier = false, .second_barrier = true}),
      static_cast<int>(kMirrorOrders) / 2);
}

TEST(SyncBlockTest, AMissingBarrierBeforeTheNextWriteIsCaught) {
  EXPECT_GE(
      WrongOrders({.steps = 2, .first_barrier = true, .second_barrier = false}),
      static_cast<int>(kMirrorOrders) / 2);
}

struct WarpParams {
  float* out;
  bool barrier;
};

LONGSPAN_KERNEL(32, 1) NeighbourKernel(const WarpParams p) {
  SharedFloats()[LaneIndex()] = static_cast<float>(LaneIndex());
  if (p.barrier) {
    SyncWarp();
  }
  p.out[LaneIndex()] = SharedFloats()[31 - LaneIndex()];
}

TEST(SyncWarpTest, OrdersTheLanesOfAWarp) {
  int wrong[2] = {0, 0};
  for (bool barrier : {false, true}) {
    for (uint64_t seed = 0; seed < kMirrorOrders; ++seed) {
      const ScopedEmulatorOptions scope(EmulatorOptions{.seed = seed});
      std::vector<float> out(32, -1);
      EXPECT_EQ(LaunchKernel(NeighbourKernel,
                             {.blocks = 1, .threads = 32, .shared_bytes = 128},
                             nullptr, WarpParams{out.data(), barrier}),
                0);
      for (size_t i = 0; i < 32; ++i) {
        wrong[barrier] += out[i] == static_cast<float>(31 - i) ? 0 : 1;
      }
    }
  }
  EXPECT_EQ(wrong[1], 0);
  EXPECT_EQ(wrong[0], 16 * static_cast<int>(kMirrorOrders));
}

struct NamedParams {
  float* out;  // (4 warps)
};

// Warps 0 and 1 exchange through barrier 1, warps 2 and 3 through barrier 2,
// each pair as often as it likes.
LONGSPAN_KERNEL(kMirrorThreads, 1) PairsKernel(const NamedParams p) {
  const int pair = WarpIndex() / 2;
  const int rounds = pair == 0 ? 3 : 7;
  float value = static_cast<float>(WarpIndex());
  for (int round = 0; round < rounds; ++round) {
    SharedFloats()[ThreadIndex()] = value;
    SyncNamed(1 + pair, 64);
    value += SharedFloats()[ThreadIndex() ^ 32];
    SyncNamed(1 + pair, 64);
  }
  if (LaneIndex() == 0) {
    p.out[WarpIndex()] = value;
  }
}

TEST(SyncNamedTest, JoinsOnlyTheWarpsThatUseIt) {
  for (uint64_t seed = 0; seed < kMirrorOrders; ++seed) {
    const ScopedEmulatorOptions scope(EmulatorOptions{.seed = seed});
    std::vector<float> out(4, -1);
    ASSERT_EQ(LaunchKernel(PairsKernel,
                           {.blocks = 2,
                            .threads = kMirrorThreads,
                            .shared_bytes = kMirrorThreads * 4},
                           nullptr, NamedParams{out.data()}),
              0);
    EXPECT_THAT(out, ::testing::ElementsAre(4, 4, 5 * 64, 5 * 64));
  }
}

// ---- Launches that cannot go on.

struct StuckParams {
  int at;
};

LONGSPAN_KERNEL(kMirrorThreads, 1) StuckKernel(const StuckParams p) {
  const int t = ThreadIndex();
  switch (p.at) {
    case 0:  // a warp leaves before the barrier
      if (WarpIndex() == 1) {
        return;
      }
      SyncBlock();
      break;
    case 1:  // half a warp shuffles
      if (LaneIndex() < 16) {
        WarpSum(1);
      }
      break;
    case 2:  // two kinds of collective
      if (LaneIndex() < 16) {
        WarpSum(1);
      } else {
        SyncWarp();
      }
      break;
    case 3:  // the same kind on two lines
      if (LaneIndex() < 16) {
        SyncWarp();
      } else {
        SyncWarp();
      }
      break;
    case 4:  // one barrier, two sizes
      SyncNamed(1, t < 64 ? 64 : 96);
      break;
    case 5:
      SyncNamed(16, 32);
      break;
    case 6:
      SyncNamed(1, 40);
      break;
    case 7:
      LoadVector16(SharedMemory() + 8);
      break;
    case 8:
      SharedMemory()[64] = 0;
      break;
    default:
      break;
  }
}

std::string FailureOf(int at) {
  const ScopedEmulatorOptions scope(
      EmulatorOptions{.seed = 3, .print_failures = false});
  TakeLaunchFailures();
  const int code = LaunchKernel(
      StuckKernel, {.blocks = 1, .threads = kMirrorThreads, .shared_bytes = 64},
      nullptr, StuckParams{at});
  const std::string failure = TakeLaunchFailures();
  EXPECT_EQ(code, failure.empty() ? 0 : kLaunchFailure);
  return failure;
}

TEST(FailureTest, ABarrierThatSomeThreadsNeverReachIsReported) {
  EXPECT_THAT(FailureOf(0),
              AllOf(HasSubstr("StuckParams in FailureOf (scheduler_test.cc:"),
                    HasSubstr("block 0: waits for threads that never come"),
                    HasSubstr("warp 0: 32 at SyncBlock (scheduler_test.cc:"),
                    HasSubstr("warp 1: 32 exited")));
}

TEST(FailureTest, LanesThatMissACollectiveAreReported) {
  EXPECT_THAT(FailureOf(1),
              AllOf(HasSubstr("16 at WarpSum"), HasSubstr("16 exited")));
}

TEST(FailureTest, LanesInDifferentCollectivesAreReported) {
  EXPECT_THAT(FailureOf(2),
              AllOf(HasSubstr("meet in different places"),
                    HasSubstr("at WarpSum"), HasSubstr("at SyncWarp")));
  EXPECT_THAT(FailureOf(3), HasSubstr("meet in different places"));
}

TEST(FailureTest, WrongNamedBarriersAreReported) {
  // Whoever needs 96 meets others there, or waits when they have gone on.
  EXPECT_THAT(FailureOf(4), AnyOf(HasSubstr("another number of threads"),
                                  HasSubstr("threads that never come")));
  EXPECT_THAT(FailureOf(5), HasSubstr("barrier of 1 to 15"));
  EXPECT_THAT(FailureOf(6), HasSubstr("whole warps"));
}

TEST(FailureTest, MisalignedAddressesAreReported) {
  EXPECT_THAT(FailureOf(7), HasSubstr("misaligned address"));
}

TEST(FailureTest, ALaunchAfterAFailedOneIsAsGoodAsNew) {
  for (int round = 0; round < 3; ++round) {
    for (int at = 0; at < 7; ++at) {
      EXPECT_NE(FailureOf(at), "");
    }
    EXPECT_EQ(FailureOf(9), "");
    EXPECT_EQ(WrongOrders(
                  {.steps = 2, .first_barrier = true, .second_barrier = true}),
              0);
  }
}

#if defined(LONGSPAN_EMULATOR_ASAN)
TEST(FailureDeathTest, AWriteBeyondSharedMemoryNamesTheLine) {
  EXPECT_DEATH(FailureOf(8), "use-after-poison.*\n.*\n.*StuckKernel");
}
#else
TEST(FailureTest, AWriteBeyondSharedMemoryIsReported) {
  EXPECT_THAT(FailureOf(8), HasSubstr("shared memory out of bounds"));
}
#endif

struct PoisonParams {
  float* out;
};

LONGSPAN_KERNEL(32, 1) PoisonKernel(const PoisonParams p) {
  p.out[32 * BlockIndex() + ThreadIndex()] = SharedFloats()[ThreadIndex()];
  SharedFloats()[ThreadIndex()] = 1;
}

TEST(SharedMemoryTest, IsNanWhenABlockStarts) {
  std::vector<float> out(4 * 32, 0);
  ASSERT_EQ(LaunchKernel(PoisonKernel,
                         {.blocks = 4, .threads = 32, .shared_bytes = 128},
                         nullptr, PoisonParams{out.data()}),
            0);
  for (float value : out) {
    EXPECT_TRUE(std::isnan(value));
  }
}

}  // namespace
}  // namespace longspan::kernels::cuda
