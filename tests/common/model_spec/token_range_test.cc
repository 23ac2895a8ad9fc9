#include "common/model_spec/token_range.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TokenRangeTest, SplitsEvenlyAndUnevenly) {
  EXPECT_THAT(*SplitTokens(8, 2),
              ElementsAre(TokenRange{0, 4}, TokenRange{4, 8}));
  EXPECT_THAT(
      *SplitTokens(8, 3),
      ElementsAre(TokenRange{0, 3}, TokenRange{3, 6}, TokenRange{6, 8}));
  EXPECT_THAT(*SplitTokens(1, 1), ElementsAre(TokenRange{0, 1}));
}

TEST(TokenRangeTest, EverySplitTilesTheSequence) {
  for (int64_t tokens : {1, 2, 7, 64, 100, 262144, 1000003}) {
    for (int parts : {1, 2, 3, 7, 64}) {
      if (tokens < parts) continue;
      const auto ranges = *SplitTokens(tokens, parts);
      EXPECT_TRUE(CheckTiling(ranges, tokens).ok());
      for (const TokenRange& range : ranges) {
        EXPECT_LE(ranges.front().size() - range.size(), 1);
      }
    }
  }
}

TEST(TokenRangeTest, RefusesFewerTokensThanRanks) {
  const auto refused = SplitTokens(2, 3);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("2 tokens cannot be split over 3 ranks"));
  EXPECT_FALSE(SplitTokens(5, 0).ok());
}

TEST(TokenRangeTest, FindsGapsOverlapsAndEmptyRanges) {
  using Ranges = std::vector<TokenRange>;
  EXPECT_TRUE(CheckTiling(Ranges{{0, 2}, {2, 5}}, 5).ok());
  EXPECT_FALSE(CheckTiling(Ranges{{0, 2}, {3, 5}}, 5).ok());
  EXPECT_FALSE(CheckTiling(Ranges{{0, 3}, {2, 5}}, 5).ok());
  EXPECT_FALSE(CheckTiling(Ranges{{0, 2}, {2, 2}, {2, 5}}, 5).ok());
  EXPECT_FALSE(CheckTiling(Ranges{{0, 2}, {2, 5}}, 6).ok());
}

}  // namespace
}  // namespace longspan
