#include "common/model_spec/kv_exchange_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longspan {
namespace {

void ExpectMoves(const KvMoves& moves, int64_t calls, int64_t sent,
                 int64_t received, int64_t sums_sent, int64_t sums_received) {
  EXPECT_EQ(moves.calls, calls);
  EXPECT_EQ(moves.sent, sent);
  EXPECT_EQ(moves.received, received);
  EXPECT_EQ(moves.sums_sent, sums_sent);
  EXPECT_EQ(moves.sums_received, sums_received);
}

const std::vector<TokenRange> kEqual = {{0, 10}, {10, 20}, {20, 30}, {30, 40}};

TEST(KvExchangePlanTest, GatherBringsAllKeysAndScattersTheirGradients) {
  const auto method = SoftmaxParallel::kGather;
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 1, true), 1, 30, 30, 0, 0);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 1, false), 1, 0, 0, 30, 30);
}

// Shards go to the ranks that read them, at most (W - 1) n out of a rank, and
// their sums behind them; the last rank sends them all home.
TEST(KvExchangePlanTest, TheRingHasItsFormulas) {
  const auto method = SoftmaxParallel::kRing;
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 0, true), 1, 10, 0, 0, 0);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 1, true), 2, 20, 10, 0, 0);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 2, true), 3, 30, 20, 0, 0);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 3, true), 3, 0, 30, 0, 0);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 0, false), 3, 10, 0, 10, 10);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 1, false), 5, 20, 10, 20, 20);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 2, false), 7, 30, 20, 30, 30);
  ExpectMoves(PlanKvMoves(method, kEqual, 0, 3, false), 7, 0, 30, 30, 30);
}

TEST(KvExchangePlanTest, UnequalShardsClimb) {
  const std::vector<TokenRange> ranges = {{0, 1}, {1, 3}, {3, 7}};
  const auto method = SoftmaxParallel::kRing;
  ExpectMoves(PlanKvMoves(method, ranges, 0, 0, true), 1, 1, 0, 0, 0);
  ExpectMoves(PlanKvMoves(method, ranges, 0, 1, false), 4, 3, 1, 3, 3);
}

TEST(KvExchangePlanTest, AWindowSendsToThoseThatSee) {
  const auto method = SoftmaxParallel::kRing;
  // The token itself: nothing moves.
  ExpectMoves(PlanKvMoves(method, kEqual, 1, 1, false), 0, 0, 0, 0, 0);
  // Up to 10 tokens before it: the next rank's.
  for (int64_t window : {2, 11}) {
    ExpectMoves(PlanKvMoves(method, kEqual, window, 0, true), 1, 10, 0, 0, 0);
    ExpectMoves(PlanKvMoves(method, kEqual, window, 1, true), 1, 10, 10, 0, 0);
    ExpectMoves(PlanKvMoves(method, kEqual, window, 3, true), 1, 0, 10, 0, 0);
    // One step for keys, one for sums, one home.
    ExpectMoves(PlanKvMoves(method, kEqual, window, 0, false), 3, 10, 0, 10,
                10);
    ExpectMoves(PlanKvMoves(method, kEqual, window, 1, false), 3, 10, 10, 20,
                20);
    ExpectMoves(PlanKvMoves(method, kEqual, window, 3, false), 3, 0, 10, 10,
                10);
  }
  // One more reaches the rank after it.
  ExpectMoves(PlanKvMoves(method, kEqual, 12, 1, true), 2, 20, 10, 0, 0);
}

// Whole heads of keys, at most four slices, the widest first.
TEST(KvExchangePlanTest, SlicesOfHeads) {
  constexpr SoftmaxParallel kGather = SoftmaxParallel::kGather;
  EXPECT_EQ(KeySliceCount(kGather, 2, 1, false), 1);
  EXPECT_EQ(KeySliceCount(kGather, 2, 3, false), 3);
  EXPECT_EQ(KeySliceCount(kGather, 2, 32, false), 4);
  EXPECT_EQ(KeySliceCount(kGather, 1, 32, false), 1);
  EXPECT_EQ(KeySliceCount(kGather, 2, 32, /*carries_state=*/true), 1);
  EXPECT_EQ(KeySliceCount(SoftmaxParallel::kRing, 2, 32, false), 1);
  std::vector<int64_t> begins;
  for (const KeySlice& slice : CutKeyHeads(10, 4)) {
    begins.push_back(slice.begin);
  }
  EXPECT_EQ(begins, (std::vector<int64_t>{0, 3, 6, 8}));
  EXPECT_EQ(CutKeyHeads(10, 4).back().end, 10);
}

TEST(KvExchangePlanTest, TheRouteOfAWindowOverUnequalRanges) {
  // Token 3 sees 0, and so does 4: the first shard goes to ranks 1 to 3.
  const std::vector<TokenRange> ranges = {{0, 1}, {1, 3}, {3, 4}, {4, 9}};
  const KvRoute last(ranges, 5, 3);
  EXPECT_EQ(last.steps(), 3);
  EXPECT_FALSE(last.Leaves());
  for (int step : {1, 2, 3}) {
    EXPECT_EQ(last.ShardAt(step), 3 - step);
    EXPECT_TRUE(last.Holds(step));
    EXPECT_TRUE(last.TurnsHome(step));
    EXPECT_FALSE(last.Sends(step));
  }
  EXPECT_EQ(KvRoute(ranges, 5, 0).LastHolder(), 3);
  EXPECT_EQ(KvRoute(ranges, 4, 0).LastHolder(), 2);
}

// What one rank says it sends is what another says it receives.
TEST(KvExchangePlanTest, SentIsReceived) {
  const std::vector<TokenRange> ranges = {{0, 1}, {1, 3}, {3, 4}, {4, 9}};
  for (int64_t window : {0, 1, 2, 3, 4, 5, 9}) {
    SCOPED_TRACE(window);
    KvMoves all;
    for (int rank = 0; rank < 4; ++rank) {
      const KvMoves moves =
          PlanKvMoves(SoftmaxParallel::kRing, ranges, window, rank, false);
      all.sent += moves.sent;
      all.received += moves.received;
      all.sums_sent += moves.sums_sent;
      all.sums_received += moves.sums_received;
    }
    EXPECT_EQ(all.sent, all.received);
    EXPECT_EQ(all.sums_sent, all.sums_received);
  }
}

}  // namespace
}  // namespace longspan
