#include "common/model_spec/token_layout.h"

#include "common/model_spec/layout_choice.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;

constexpr TokenLayout kContiguous = TokenLayout::kContiguous;
constexpr TokenLayout kZigzag = TokenLayout::kZigzag;

TEST(TokenLayoutTest, EveryCutIsOneOfAllTokens) {
  for (TokenLayout layout : {kContiguous, kZigzag}) {
    for (int ranks = 1; ranks <= 9; ++ranks) {
      for (int64_t tokens = ranks; tokens < 40; ++tokens) {
        const auto parts = CutTokens(layout, tokens, ranks);
        ASSERT_TRUE(parts.ok());
        EXPECT_TRUE(CheckParts(layout, *parts, tokens).ok());
        ASSERT_EQ(RankCount(layout, parts->size()), ranks);
        int64_t sum = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          sum += TokensOf(layout, *parts, rank);
          for (int part : PartsOf(layout, *parts, rank)) {
            EXPECT_EQ(OwnerOf(part, ranks), rank);
          }
        }
        EXPECT_EQ(sum, tokens);
      }
    }
  }
}

TEST(TokenLayoutTest, ZigzagGivesEarlyAndLateParts) {
  const auto parts = CutTokens(kZigzag, 10, 2);
  ASSERT_TRUE(parts.ok());
  EXPECT_THAT(*parts, ElementsAre(TokenRange{0, 3}, TokenRange{3, 6},
                                  TokenRange{6, 8}, TokenRange{8, 10}));
  EXPECT_THAT(PartsOf(kZigzag, *parts, 0), ElementsAre(0, 3));
  EXPECT_THAT(PartsOf(kZigzag, *parts, 1), ElementsAre(1, 2));
}

TEST(TokenLayoutTest, FewTokensLeaveTheLastPartsEmpty) {
  const auto parts = CutTokens(kZigzag, 5, 4);
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(parts->size(), 8u);
  EXPECT_EQ(FilledParts(*parts), 5);
  EXPECT_THAT(PartsOf(kZigzag, *parts, 0), ElementsAre(0));
  EXPECT_THAT(PartsOf(kZigzag, *parts, 3), ElementsAre(3, 4));
}

TEST(TokenLayoutTest, RefusesWhatGivesARankNothing) {
  EXPECT_FALSE(CutTokens(kZigzag, 3, 4).ok());
  EXPECT_FALSE(CutTokens(kZigzag, 3, 0).ok());
  using Parts = std::vector<TokenRange>;
  EXPECT_FALSE(CheckParts(kZigzag, Parts{{0, 1}, {1, 2}, {2, 4}}, 4).ok());
  EXPECT_FALSE(
      CheckParts(kZigzag, Parts{{0, 4}, {4, 4}, {4, 4}, {4, 4}}, 4).ok());
  EXPECT_FALSE(
      CheckParts(kZigzag, Parts{{0, 1}, {1, 2}, {2, 2}, {2, 4}}, 4).ok());
  EXPECT_FALSE(
      CheckParts(kZigzag, Parts{{0, 2}, {2, 4}, {5, 5}, {5, 5}}, 4).ok());
  EXPECT_FALSE(CheckParts(kContiguous, Parts{{0, 4}, {4, 4}}, 4).ok());
}

// (2 W - 1) / W of the mean contiguous, next to nothing above it zigzag.
TEST(LayoutChoiceTest, ZigzagBalancesCausalAttention) {
  constexpr int64_t kTokens = 1 << 20;
  for (int ranks : {2, 3, 4, 7, 8, 64}) {
    SCOPED_TRACE(ranks);
    const auto imbalance = [&](TokenLayout layout, int64_t window) {
      return AttentionImbalance(layout, *CutTokens(layout, kTokens, ranks),
                                window);
    };
    EXPECT_NEAR(imbalance(kContiguous, 0), (2.0 * ranks - 1) / ranks, 1e-3);
    EXPECT_NEAR(imbalance(kZigzag, 0), 1.0, 1e-3);
    EXPECT_NEAR(imbalance(kContiguous, 128), 1.0, 0.01);
  }
  // Uneven parts: every one is a token longer than the next at most.
  EXPECT_LT(AttentionImbalance(kZigzag, *CutTokens(kZigzag, 1001, 4), 0), 1.02);
}

TEST(LayoutChoiceTest, FiguresAreThoseOfTheBusiestRank) {
  ModelSpec model;
  model.layer_pattern = "LLLN";
  const ModelSpec spec = ResolveDefaults(model);
  const LayoutFigures figures =
      CompareLayouts(spec, {.tokens = 65536, .ranks = 4});
  EXPECT_NEAR(figures.contiguous, 1.75, 1e-3);
  EXPECT_NEAR(figures.zigzag, 1.0, 1e-3);
  // 3 of 7 of what attention costs the last rank: 2 layers, 4 H D operations
  // for each of 7/32 N^2 pairs, times 3 for the backward pass.
  const double pairs = 65536.0 * 65536.0 * 7 / 32;
  const double attention = 3.0 * 2 * 4 * 512 * pairs;
  EXPECT_NEAR(static_cast<double>(figures.saved_operations) / attention,
              3.0 / 7, 1e-3);
  EXPECT_GT(figures.saved_share, 0.2);
  EXPECT_LT(figures.saved_share, 3.0 / 7);
  // One state more to each of 3 others, in each direction and of 6 layers, and
  // its decay forward.
  EXPECT_EQ(figures.added_bytes, 6 * 3 * (2 * 8 * 64 * 64 + 8) * 4);
}

}  // namespace
}  // namespace longspan
