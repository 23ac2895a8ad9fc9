// cp.async: when copies land, what they write, and what is refused.

#include <cmath>
#include <cstring>
#include <numeric>
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
using ::testing::HasSubstr;

const EmulatorOptions kQuiet = {.trap_copies_under_way = false,
                                .print_failures = false};

struct CopyParams {
  const float* in;
  float* out;
  int bytes;
};

int RunWarp(void (*kernel)(CopyParams), const CopyParams& params,
            int shared_bytes) {
  const LaunchShape shape{
      .blocks = 1, .threads = 32, .shared_bytes = shared_bytes};
  return LaunchKernel(kernel, shape, nullptr, params);
}

float* Staged() { return reinterpret_cast<float*>(SharedMemory()); }

// Each thread copies its own 16 bytes in three groups and looks after each
// wait at the first float of each.
LONGSPAN_KERNEL(32, 1) GroupsKernel(const CopyParams p) {
  const int t = ThreadIndex();
  float* shared = Staged();
  for (int group = 0; group < 3; ++group) {
    CopyAsync16(shared + 4 * (32 * group + t), p.in + 4 * (32 * group + t));
    CopyAsyncCommit();
  }
  const auto look = [&](int step) {
    for (int group = 0; group < 3; ++group) {
      p.out[9 * t + 3 * step + group] = shared[4 * (32 * group + t)];
    }
  };
  CopyAsyncWait<2>();
  look(0);
  CopyAsyncWait<1>();
  look(1);
  CopyAsyncWait<0>();
  look(2);
}

TEST(CopyAsyncTest, GroupsLandAsLateAsTheWaitsAllow) {
  const ScopedEmulatorOptions scope(kQuiet);
  std::vector<float> in(3 * 32 * 4), out(32 * 9, 0);
  std::iota(in.begin(), in.end(), 1.0f);
  ASSERT_EQ(RunWarp(GroupsKernel, {in.data(), out.data(), 0}, 3 * 32 * 16), 0);
  for (size_t t = 0; t < 32; ++t) {
    for (size_t step = 0; step < 3; ++step) {
      for (size_t group = 0; group < 3; ++group) {
        const float seen = out[9 * t + 3 * step + group];
        if (group <= step) {
          EXPECT_EQ(seen, in[4 * (32 * group + t)]);
        } else {
          EXPECT_TRUE(std::isnan(seen));
        }
      }
    }
  }
}

LONGSPAN_KERNEL(32, 1) TailKernel(const CopyParams p) {
  const int t = ThreadIndex();
  CopyAsync16(Staged() + 4 * t, p.in, p.bytes);
  CopyAsync4(Staged() + 128 + t, p.in, p.bytes < 4 ? 0 : 4);
  CopyAsyncCommit();
  CopyAsyncWait<0>();
  for (int i = 0; i < 4; ++i) {
    p.out[5 * t + i] = Staged()[4 * t + i];
  }
  p.out[5 * t + 4] = Staged()[128 + t];
}

TEST(CopyAsyncTest, FillsWithZerosBeyondItsBytes) {
  for (int bytes : {0, 4, 8, 12, 16}) {
    // Exactly as many as may be read.
    std::vector<float> in(static_cast<size_t>(bytes) / 4);
    std::iota(in.begin(), in.end(), 1.0f);
    std::vector<float> out(32 * 5, -1);
    ASSERT_EQ(RunWarp(TailKernel, {in.data(), out.data(), bytes}, 32 * 20), 0);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(out[static_cast<size_t>(5 + i)],
                4 * i < bytes ? static_cast<float>(i + 1) : 0.0f);
    }
    EXPECT_EQ(out[9], bytes >= 4 ? 1.0f : 0.0f);
  }
}

// What is not committed is not waited for.
LONGSPAN_KERNEL(32, 1) UncommittedKernel(const CopyParams p) {
  CopyAsync16(Staged() + 4 * ThreadIndex(), p.in);
  CopyAsyncWait<0>();
  p.out[ThreadIndex()] = Staged()[4 * ThreadIndex()];
}

TEST(CopyAsyncTest, UncommittedCopiesDoNotLand) {
  const ScopedEmulatorOptions scope(kQuiet);
  std::vector<float> in(4, 1), out(32, 0);
  ASSERT_EQ(RunWarp(UncommittedKernel, {in.data(), out.data(), 0}, 512), 0);
  EXPECT_TRUE(std::isnan(out[7]));
}

// A wait is for the own copies: another thread's land at its own wait.
LONGSPAN_KERNEL(32, 1) ForeignKernel(const CopyParams p) {
  if (ThreadIndex() == 0) {
    CopyAsync16(SharedMemory(), p.in);
    CopyAsyncCommit();
  }
  SyncWarp();
  if (ThreadIndex() != 0) {
    CopyAsyncWait<0>();
    p.out[ThreadIndex()] = Staged()[0];
  }
  SyncWarp();
  CopyAsyncWait<0>();
}

TEST(CopyAsyncTest, WaitsAreForTheOwnCopies) {
  const ScopedEmulatorOptions scope(kQuiet);
  std::vector<float> in(4, 1), out(32, 0);
  ASSERT_EQ(RunWarp(ForeignKernel, {in.data(), out.data(), 0}, 512), 0);
  EXPECT_TRUE(std::isnan(out[7]));
}

// A copy destroys what lies there from its issue on, not from its landing.
LONGSPAN_KERNEL(32, 1) OverwriteKernel(const CopyParams p) {
  float* mine = Staged() + 4 * ThreadIndex();
  mine[0] = 5;
  CopyAsync16(mine, p.in);
  p.out[ThreadIndex()] = mine[0];
}

TEST(CopyAsyncTest, DestroysWhatWasThereAtOnce) {
  const ScopedEmulatorOptions scope(kQuiet);
  std::vector<float> in(4, 1), out(32, 0);
  ASSERT_EQ(RunWarp(OverwriteKernel, {in.data(), out.data(), 0}, 512), 0);
  EXPECT_TRUE(std::isnan(out[7]));
}

// Offsets, in bytes, of the shared and the global address of a copy.
struct OffsetParams {
  const unsigned char* in;
  int shared_offset;
  int global_offset;
  int bytes;
};

LONGSPAN_KERNEL(32, 1) OffsetKernel(const OffsetParams p) {
  if (ThreadIndex() == 3) {
    CopyAsync16(SharedMemory() + p.shared_offset, p.in + p.global_offset,
                p.bytes);
  }
}

std::string FailureOf(int shared_offset, int global_offset, int bytes) {
  const ScopedEmulatorOptions scope(kQuiet);
  const std::vector<unsigned char> in(32);
  const LaunchShape shape{.blocks = 1, .threads = 32, .shared_bytes = 64};
  const int code = LaunchKernel(
      OffsetKernel, shape, nullptr,
      OffsetParams{in.data(), shared_offset, global_offset, bytes});
  const std::string failure = TakeLaunchFailures();
  EXPECT_EQ(code, failure.empty() ? 0 : kLaunchFailure);
  return failure;
}

TEST(CopyAsyncTest, RefusesWhatTheDeviceWould) {
  EXPECT_EQ(FailureOf(0, 0, 16), "");
  EXPECT_EQ(FailureOf(48, 16, 16), "");
  EXPECT_THAT(FailureOf(8, 0, 16), HasSubstr("misaligned"));
  EXPECT_THAT(FailureOf(0, 8, 16), HasSubstr("misaligned"));
  EXPECT_THAT(FailureOf(0, 0, 20), HasSubstr("more bytes"));
  EXPECT_THAT(FailureOf(0, 0, -4), HasSubstr("less than none"));
  EXPECT_THAT(FailureOf(64, 0, 16), HasSubstr("bounds of shared memory"));
  EXPECT_THAT(FailureOf(-16, 0, 16), HasSubstr("bounds of shared memory"));
  EXPECT_THAT(FailureOf(8, 0, 16),
              HasSubstr("OffsetParams in FailureOf (copy_async_test.cc:"));
}

#if defined(LONGSPAN_EMULATOR_ASAN)
TEST(CopyAsyncTest, SeesTheEndOfAnAllocation) {
  EXPECT_THAT(FailureOf(0, 32, 16), HasSubstr("outside of an allocation"));
  EXPECT_EQ(FailureOf(0, 32, 0), "");
}

TEST(CopyAsyncDeathTest, ReadingBytesUnderWayNamesTheLine) {
  const ScopedEmulatorOptions scope(EmulatorOptions{});
  std::vector<float> in(3 * 32 * 4, 1), out(32 * 9, 0);
  EXPECT_DEATH(RunWarp(GroupsKernel, {in.data(), out.data(), 0}, 3 * 32 * 16),
               "use-after-poison");
}
#endif

LONGSPAN_KERNEL(32, 1) TwiceKernel(const CopyParams p) {
  CopyAsync16(SharedMemory(), p.in);
}

TEST(CopyAsyncTest, TwoCopiesToTheSamePlaceFail) {
  const ScopedEmulatorOptions scope(kQuiet);
  std::vector<float> in(4, 1);
  EXPECT_EQ(RunWarp(TwiceKernel, {in.data(), nullptr, 0}, 512), kLaunchFailure);
  EXPECT_THAT(TakeLaunchFailures(), HasSubstr("over bytes that another"));
}

LONGSPAN_KERNEL(32, 1) EarlyMatrixKernel(const CopyParams p) {
  CopyAsync16(SharedMemory() + 16 * ThreadIndex(), p.in);
  CopyAsyncCommit();
  uint32_t r[4];
  LoadMatrix4(r, SharedMemory() + 16 * LaneIndex());
  CopyAsyncWait<0>();
}

TEST(CopyAsyncTest, LoadMatrixBeforeTheWaitFails) {
  const ScopedEmulatorOptions scope(kQuiet);
  std::vector<float> in(4, 1);
  EXPECT_EQ(RunWarp(EarlyMatrixKernel, {in.data(), nullptr, 0}, 512),
            kLaunchFailure);
  EXPECT_THAT(TakeLaunchFailures(), HasSubstr("still has under way"));
}

}  // namespace
}  // namespace longspan::kernels::cuda
