// bf16, vector accesses, fast functions and swizzles: what needs no second
// thread.

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/device/device.h"

namespace longspan::kernels::cuda {
namespace {

using ::testing::FloatNear;

// Of the two neighbours in bf16, the nearer; of two equally near, the even.
TEST(Bf16Test, RoundsToNearestEven) {
  for (uint32_t high = 0x3F80; high < 0x4080; ++high) {
    const float below = FloatOfBits(high << 16);
    const float above = FloatOfBits((high + 1) << 16);
    const float middle = FloatOfBits((high << 16) + 0x8000);
    EXPECT_EQ(ToBf16(below).bits, high);
    EXPECT_EQ(ToBf16(std::nextafter(middle, below)).bits, high);
    EXPECT_EQ(ToBf16(std::nextafter(middle, above)).bits, high + 1);
    EXPECT_EQ(ToBf16(middle).bits, high % 2 == 0 ? high : high + 1);
    EXPECT_EQ(ToBf16(-middle).bits, ToBf16(middle).bits | 0x8000);
  }
}

TEST(Bf16Test, KeepsInfinityAndNan) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ToFloat(ToBf16(infinity)), infinity);
  EXPECT_EQ(ToFloat(ToBf16(-infinity)), -infinity);
  EXPECT_EQ(ToFloat(ToBf16(std::numeric_limits<float>::max())), infinity);
  EXPECT_EQ(ToBf16(std::nanf("")).bits, 0x7FFF);
  EXPECT_EQ(ToBf16(FloatOfBits(0xFF800001)).bits, 0x7FFF);
}

TEST(Bf16Test, PacksTheLowerIndexIntoTheLowHalf) {
  const uint32_t pair = PackBf16(1.5f, -2.0f);
  EXPECT_EQ(pair & 0xFFFF, ToBf16(1.5f).bits);
  EXPECT_EQ(pair >> 16, ToBf16(-2.0f).bits);
  EXPECT_EQ(LowFloat(pair), 1.5f);
  EXPECT_EQ(HighFloat(pair), -2.0f);
}

TEST(FastMathTest, FollowsTheFunctionAndFlushesDenormals) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Exp2(3), 8);
  EXPECT_EQ(Exp2(-infinity), 0);
  EXPECT_EQ(Exp2(-140), 0);  // 2^-140 is denormal
  EXPECT_EQ(Log2(0.25f), -2);
  EXPECT_EQ(Log2(1e-40f), -infinity);
  EXPECT_THAT(Rsqrt(4), FloatNear(0.5f, 1e-7f));
  EXPECT_EQ(Rsqrt(1e-40f), infinity);
}

TEST(VectorAccessTest, MovesTheBytes) {
  alignas(16) unsigned char from[16];
  alignas(16) unsigned char to[16] = {};
  for (int i = 0; i < 16; ++i) {
    from[i] = static_cast<unsigned char>(17 * i);
  }
  StoreVector16(to, LoadVector16(from));
  EXPECT_EQ(std::memcmp(from, to, 16), 0);
  StoreVector8(to, LoadVector8(from + 8));
  EXPECT_EQ(std::memcmp(from + 8, to, 8), 0);
  StoreVector4(to, LoadVector4(from + 4));
  EXPECT_EQ(std::memcmp(from + 4, to, 4), 0);
  StoreVector16Streaming(to, LoadVector16Streaming(from));
  EXPECT_EQ(std::memcmp(from, to, 16), 0);
}

class SwizzleTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(SwizzleTest, IsAPermutationWithinEachRow) {
  const uint32_t row_bytes = GetParam();
  for (uint32_t row = 0; row < 64; ++row) {
    std::set<uint32_t> seen;
    for (uint32_t column = 0; column < row_bytes / 16; ++column) {
      const uint32_t offset = SwizzledOffset(row, column, row_bytes);
      EXPECT_EQ(offset % 16, 0u);
      EXPECT_EQ(offset / row_bytes, row);
      seen.insert(offset);
    }
    EXPECT_EQ(seen.size(), row_bytes / 16);
  }
}

TEST_P(SwizzleTest, EightRowsOfAColumnLieInDifferentBanks) {
  const uint32_t row_bytes = GetParam();
  for (uint32_t first = 0; first < 64; first += 8) {
    for (uint32_t column = 0; column < row_bytes / 16; ++column) {
      std::set<uint32_t> groups;
      for (uint32_t row = first; row < first + 8; ++row) {
        groups.insert(SwizzledOffset(row, column, row_bytes) / 16 % 8);
      }
      EXPECT_EQ(groups.size(), 8u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(RowBytes, SwizzleTest,
                         ::testing::Values(16, 32, 48, 64, 96, 112, 128, 160,
                                           192, 256, 320, 384, 512, 1024));

}  // namespace
}  // namespace longspan::kernels::cuda
