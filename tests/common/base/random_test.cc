#include "common/base/random.h"

#include <cmath>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;

// Known answers published with Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  const uint32_t ones = 0xffffffff;
  EXPECT_THAT(Philox4x32({ones, ones, ones, ones}, {ones, ones}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                         {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(RandomTest, EveryPartOfTheKeyMatters) {
  const RandomKey base{7, RandomPurpose::kTest, 3};
  std::set<std::array<uint32_t, 4>> seen = {RandomBits(base, 5)};
  EXPECT_TRUE(seen.insert(RandomBits(base, 6)).second);
  EXPECT_TRUE(seen.insert(RandomBits(base, 5 + (1ull << 32))).second);
  EXPECT_TRUE(seen.insert(RandomBits({8, RandomPurpose::kTest, 3}, 5)).second);
  EXPECT_TRUE(
      seen.insert(RandomBits({7 + (1ull << 32), RandomPurpose::kTest, 3}, 5))
          .second);
  EXPECT_TRUE(
      seen.insert(RandomBits({7, RandomPurpose::kSampling, 3}, 5)).second);
  EXPECT_TRUE(seen.insert(RandomBits({7, RandomPurpose::kTest, 4}, 5)).second);
  EXPECT_FALSE(seen.insert(RandomBits(base, 5)).second);
}

constexpr int kSamples = 20000;
const RandomKey kKey{42, RandomPurpose::kTest, 0};

// The means of n independent samples lie within 5 standard errors.
TEST(RandomTest, UniformHasMeanAndVarianceOfTheUnitInterval) {
  double sum = 0, squares = 0;
  for (int i = 0; i < kSamples; ++i) {
    const double x = RandomUniform(kKey, static_cast<uint64_t>(i));
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kSamples, 0.5, 5 * std::sqrt(1 / 12.0 / kSamples));
  EXPECT_NEAR(squares / kSamples, 1 / 3.0, 5 * std::sqrt(0.0889 / kSamples));
}

TEST(RandomTest, NormalHasZeroMeanUnitVarianceAndNoSkew) {
  double sum = 0, squares = 0, cubes = 0;
  for (int i = 0; i < kSamples; ++i) {
    const double x = RandomNormal(kKey, static_cast<uint64_t>(i));
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    cubes += x * x * x;
  }
  EXPECT_NEAR(sum / kSamples, 0, 5 * std::sqrt(1.0 / kSamples));
  EXPECT_NEAR(squares / kSamples, 1, 5 * std::sqrt(2.0 / kSamples));
  EXPECT_NEAR(cubes / kSamples, 0, 5 * std::sqrt(15.0 / kSamples));
}

TEST(RandomTest, BelowCoversItsRangeEvenly) {
  int counts[10] = {};
  for (int i = 0; i < kSamples; ++i) {
    ++counts[RandomBelow(kKey, static_cast<uint64_t>(i), 10)];
  }
  const double expected = kSamples / 10.0;
  for (const int count : counts) {
    EXPECT_NEAR(count, expected, 5 * std::sqrt(expected));
  }
  EXPECT_EQ(RandomBelow(kKey, 9, 1), 0u);
}

}  // namespace
}  // namespace longspan
