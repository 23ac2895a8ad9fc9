#include "common/model_spec/row_exchange_plan.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/model_spec/model_spec.h"

namespace longspan {
namespace {

void ExpectMoves(const RowMoves& moves, int64_t calls, int64_t sent,
                 int64_t received) {
  EXPECT_EQ(moves.calls, calls);
  EXPECT_EQ(moves.sent, sent);
  EXPECT_EQ(moves.received, received);
}

const std::vector<TokenRange> kRanges = {{0, 1}, {1, 3}, {3, 7}, {7, 15}};

// Rows of all ranges up to a rank's own go on, and none from the last rank.
TEST(RowExchangePlanTest, RowsClimbToTheLastRank) {
  ExpectMoves(PlanRowMoves(kRanges, 0, true), 1, 1, 0);
  ExpectMoves(PlanRowMoves(kRanges, 1, true), 2, 3, 1);
  ExpectMoves(PlanRowMoves(kRanges, 2, true), 3, 7, 3);
  ExpectMoves(PlanRowMoves(kRanges, 3, true), 3, 0, 7);
}

TEST(RowExchangePlanTest, BackwardIsTheMirrorImage) {
  ExpectMoves(PlanRowMoves(kRanges, 3, false), 1, 8, 0);
  ExpectMoves(PlanRowMoves(kRanges, 2, false), 2, 12, 8);
  ExpectMoves(PlanRowMoves(kRanges, 1, false), 3, 14, 12);
  ExpectMoves(PlanRowMoves(kRanges, 0, false), 3, 0, 14);
}

// W n / 2 rows of a rank on average and (W - 1) n at most: half of what shards
// cost that go all round the ring.
TEST(RowExchangePlanTest, EvenRangesSendHalfARing) {
  for (int ranks : {2, 3, 8}) {
    const auto ranges = SplitTokens(10 * ranks, ranks).value();
    int64_t sum = 0, most = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const int64_t sent = PlanRowMoves(ranges, rank, true).sent;
      sum += sent;
      most = std::max(most, sent);
    }
    EXPECT_EQ(2 * sum, ranks * (ranks - 1) * 10);
    EXPECT_EQ(most, (ranks - 1) * 10);
  }
}

RowWidths WidthsOf(LinearMixer mixer, bool forward) {
  LinearAttentionSpec linear;
  linear.mixer = mixer;
  linear.heads = linear.key_heads = 4;
  linear.key_dim = 8;
  linear.value_dim = 16;
  return SummaryRows(FormOf(linear), 4, 4, forward);
}

TEST(RowExchangePlanTest, ARowIsWhatItsSummaryTakes) {
  for (bool forward : {true, false}) {
    const RowWidths basic = WidthsOf(LinearMixer::kRetention, forward);
    EXPECT_EQ(basic.narrow, 4 * (8 + 16));
    EXPECT_EQ(basic.wide, 0);
    EXPECT_EQ(WidthsOf(LinearMixer::kSimpleGla, forward).wide, 4);
    EXPECT_EQ(WidthsOf(LinearMixer::kGla, forward).wide, 4 * 8);
    // The delta rule: beta, and backward the keys beside the queries.
    const RowWidths delta = WidthsOf(LinearMixer::kKda, forward);
    EXPECT_EQ(delta.wide, 4 * 8 + 4);
    EXPECT_EQ(delta.narrow, 4 * ((forward ? 8 : 16) + 16));
  }
  const RowWidths gated = {10, 3};
  EXPECT_EQ(gated.Bytes(2), 10 * 2 + 3 * 4);
  EXPECT_EQ(gated.Bytes(8), 13 * 8);
  EXPECT_EQ(RowParcelBytes(kRanges, 2, gated, 2), 2 * 512);  // 2 * 8 * 32
}

}  // namespace
}  // namespace longspan
