#include "common/model_spec/head_exchange_plan.h"

#include <string>
#include <vector>

#include "common/model_spec/communication_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;

std::vector<int64_t> HeadsOfRanks(int64_t heads, int64_t key_heads, int ranks) {
  std::vector<int64_t> sizes;
  for (int r = 0; r < ranks; ++r) {
    sizes.push_back(CutHeads(heads, key_heads, r, ranks).heads.size());
  }
  return sizes;
}

TEST(CutHeadsTest, TheFirstRanksTakeOneMore) {
  EXPECT_THAT(HeadsOfRanks(8, 8, 4), ::testing::ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(HeadsOfRanks(5, 5, 3), ::testing::ElementsAre(2, 2, 1));
  EXPECT_THAT(HeadsOfRanks(3, 3, 3), ::testing::ElementsAre(1, 1, 1));
  EXPECT_THAT(HeadsOfRanks(7, 7, 1), ::testing::ElementsAre(7));
}

TEST(CutHeadsTest, RanksTakeWholeKeyHeadsOrAPartOfOne) {
  EXPECT_THAT(HeadsOfRanks(12, 3, 2), ::testing::ElementsAre(8, 4));
  EXPECT_THAT(HeadsOfRanks(12, 3, 3), ::testing::ElementsAre(4, 4, 4));
  EXPECT_THAT(HeadsOfRanks(12, 3, 4), ::testing::ElementsAre(2, 2, 4, 4));
  EXPECT_THAT(HeadsOfRanks(8, 1, 3), ::testing::ElementsAre(3, 3, 2));
}

// Whatever the numbers: ranges tile the heads, nobody is idle, and every head
// finds the head of q and k that it reads at its place in the slice.
TEST(CutHeadsTest, EverySliceKeepsTheGroups) {
  for (int64_t key_heads : {1, 2, 3, 5}) {
    for (int64_t group : {1, 2, 3, 7}) {
      const int64_t heads = key_heads * group;
      for (int ranks = 1; ranks <= heads; ++ranks) {
        int64_t end = 0;
        for (int r = 0; r < ranks; ++r) {
          const HeadCut cut = CutHeads(heads, key_heads, r, ranks);
          ASSERT_EQ(cut.heads.begin, end);
          ASSERT_GT(cut.heads.size(), 0);
          ASSERT_EQ(cut.heads.size() % cut.key_heads.size(), 0);
          const int64_t local = cut.heads.size() / cut.key_heads.size();
          for (int64_t h = cut.heads.begin; h < cut.heads.end; ++h) {
            ASSERT_EQ(cut.key_heads.begin + (h - cut.heads.begin) / local,
                      h / group);
          }
          end = cut.heads.end;
        }
        ASSERT_EQ(end, heads);
      }
    }
  }
}

TEST(CutHeadsTest, MoreRanksThanHeadsAreRefused) {
  ModelSpec spec;
  spec.layer_count = 2;
  spec.layer_pattern = "NL";
  spec.linear.heads = 4;
  const auto ulysses = SequenceParallel::kUlysses;
  EXPECT_TRUE(CheckHeadCut(spec, ulysses, 4).ok());
  EXPECT_TRUE(CheckHeadCut(spec, SequenceParallel::kLasp2, 5).ok());
  const absl::Status refused = CheckHeadCut(spec, ulysses, 5);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("5 ranks are more than the 4 heads"));
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("use 4 ranks or fewer"));
  spec.layer_pattern = "N";  // softmax layers gather keys and values
  EXPECT_TRUE(CheckHeadCut(spec, ulysses, 5).ok());
}

TEST(CutHeadsTest, MoreRanksThanHeadsOfSoftmaxLayersAreRefused) {
  ModelSpec spec;
  spec.layer_count = 2;
  spec.layer_pattern = "NL";
  spec.softmax.heads = 4;
  const auto ulysses = SoftmaxParallel::kUlysses;
  EXPECT_TRUE(CheckHeadCut(spec, ulysses, 4).ok());
  EXPECT_TRUE(CheckHeadCut(spec, SoftmaxParallel::kRing, 5).ok());
  const absl::Status refused = CheckHeadCut(spec, ulysses, 5);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("5 ranks are more than the 4 heads of the softmax"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("such as gather"));
  spec.layer_pattern = "L";
  EXPECT_TRUE(CheckHeadCut(spec, ulysses, 5).ok());
}

// (W - 1) / W of the rows of this rank's tokens, where everything divides.
TEST(HeadExchangePlanTest, BytesShrinkWithTheRanks) {
  for (int ranks : {2, 4, 8}) {
    const std::vector<TokenRange> ranges = *SplitTokens(64, ranks);
    const HeadExchangeShape shape = {3, ranges, 8, 8, 4};
    const HeadRows rows = {32, 16, 1};
    const HeadMoves moves = PlanHeadMoves(shape, rows, 0);
    const int64_t whole = 3 * 64 * 8 * (32 + 16 + 1) * 4;
    EXPECT_EQ(moves.sent, whole / ranks * (ranks - 1) / ranks);
    EXPECT_EQ(moves.received, moves.sent);
  }
}

TEST(HeadExchangePlanTest, UnevenTokensAndHeads) {
  const std::vector<TokenRange> ranges = {{0, 1}, {1, 6}};
  const HeadExchangeShape shape = {1, ranges, 3, 3, 2};
  const HeadRows rows = {4, 2, 1};  // gates in f32 beside bf16
  const HeadMoves moves = PlanHeadMoves(shape, rows, 0);
  EXPECT_EQ(moves.sent, 1 * 1 * (6 * 2 + 4));      // one token, one head
  EXPECT_EQ(moves.received, 5 * 2 * (6 * 2 + 4));  // five tokens, two heads
  EXPECT_EQ(HeadStagingBytes(shape, rows, 0), 64 + 192);
}

// A key head that two ranks share goes to both.
TEST(HeadExchangePlanTest, SharedKeysTravelToEachOfTheirRanks) {
  const std::vector<TokenRange> ranges = {{0, 4}, {4, 8}};
  const HeadExchangeShape shape = {1, ranges, 4, 1, 4};
  const HeadMoves moves = PlanHeadMoves(shape, {8, 2, 0}, 1);
  EXPECT_EQ(moves.sent, 4 * (8 + 2 * 2) * 4);
  EXPECT_EQ(moves.received, moves.sent);
}

// Ulysses against LASP-2, of basic attention: 8 (W - 1) N H d / W^2 numbers a
// step against 2 (W - 1) H d^2, in bf16 and f32: the same at N = W^2 d / 2.
TEST(HeadExchangePlanTest, StatesAreLessForLongSequencesOnly) {
  ModelSpec spec;
  spec.layer_count = 1;
  spec.layer_pattern = "L";
  spec.linear.mixer = LinearMixer::kBasic;
  spec.linear.heads = 16;
  spec.linear.key_dim = 128;
  spec.linear.value_dim = 128;
  spec.linear.short_convolution = 0;
  spec = ResolveDefaults(spec);
  spec.linear.short_convolution = 0;
  const auto sent = [&](int64_t tokens, SequenceParallel method) {
    CommunicationShape shape;
    shape.ranges = *SplitTokens(tokens, 8);
    shape.element_bytes = 2;
    shape.method = method;
    int64_t bytes = 0;
    for (const PlannedTransfer& t : PlanCommunication(spec, shape, 3)) {
      if (t.layer == 0) bytes += t.bytes_sent;
    }
    return bytes;
  };
  const int64_t even = 8 * 8 * 128 / 2;
  EXPECT_EQ(sent(even, SequenceParallel::kUlysses),
            sent(even, SequenceParallel::kLasp2));
  EXPECT_GT(sent(2 * even, SequenceParallel::kUlysses),
            sent(2 * even, SequenceParallel::kLasp2));
  EXPECT_LT(sent(even / 2, SequenceParallel::kUlysses),
            sent(even / 2, SequenceParallel::kLasp2));
}

}  // namespace
}  // namespace longspan
