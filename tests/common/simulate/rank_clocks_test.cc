#include "common/simulate/rank_clocks.h"

#include <gtest/gtest.h>

#include "common/model_spec/token_range.h"

namespace longspan {
namespace {

// One second a message, one byte a second.
const Network kSlowNetwork = {{{"n", 0, 1.0, 1.0, 0}},
                              CollectiveAlgorithm::kDirect};

TEST(RankClocksTest, ACollectiveWaitsForTheLastAndHidesTheWindow) {
  RankClocks clocks(kSlowNetwork, 2);
  clocks.Compute([](int64_t rank) { return rank == 0 ? 1.0 : 3.0; });
  clocks.Collective(2.0, 1.5);
  EXPECT_DOUBLE_EQ(clocks.last(), 5.0);
  EXPECT_DOUBLE_EQ(clocks.busiest(), 4.5);
  clocks.Collective(2.0, 10.0);
  EXPECT_DOUBLE_EQ(clocks.last(), 15.0);
}

// Each hop: latency 1 and 4 bytes.
TEST(RankClocksTest, AChainTakesWMinusOneHops) {
  RankClocks clocks(kSlowNetwork, 4);
  clocks.PassOn({.bytes = 4});
  EXPECT_DOUBLE_EQ(clocks.last(), 3 * 5.0);
}

// (W - 1) hops of a quarter, then the other three follow at the link's pace.
TEST(RankClocksTest, BlocksFollowEachOther) {
  RankClocks clocks(kSlowNetwork, 4);
  clocks.PassOn({.bytes = 4, .blocks = 4});
  EXPECT_DOUBLE_EQ(clocks.last(), 3 * 2.0 + 3 * 1.0);
}

// The last of 3 ranks gets the second's rows after 5, the first's, which that
// had at 5, after 10, and works on each.
TEST(RankClocksTest, RowsPassWhileRanksWork) {
  RankClocks clocks(kSlowNetwork, 3);
  clocks.PassRows({.bytes = 4, .window = 3, .work = 2});
  EXPECT_DOUBLE_EQ(clocks.last(), 5 + 5 + 2);
  EXPECT_DOUBLE_EQ(clocks.busiest(), 3 + 2 * 2);
  // Work that is longer than a hop: the second rank sends on when it is done
  // with its own.
  RankClocks busy(kSlowNetwork, 3);
  busy.PassRows({.bytes = 4, .forward = false, .window = 7, .work = 20});
  EXPECT_DOUBLE_EQ(busy.last(), 7 + 2 * 20);
  RankClocks late(kSlowNetwork, 3);
  late.PassRows({.bytes = 4, .window = 7, .work = 1});
  EXPECT_DOUBLE_EQ(late.last(), 7 + 5 + 1);
}

KvRoute RouteOver(int ranks) {
  return KvRoute(SplitTokens(ranks, ranks).value(), /*window=*/0, 0);
}

// As workers do it (tests/worker/model/overlap_test): rank r attends to r + 1
// shards for 3 s each while the next takes a hop of 10, or of 2.
TEST(RankClocksTest, KeysPassWhileRanksAttend) {
  for (const double hop : {10.0, 2.0}) {
    RankClocks clocks(kSlowNetwork, 3);
    RankClocks::Keys keys;
    keys.bytes = [=](int) { return hop - 1; };
    keys.work = [](int, int) { return 3.0; };
    clocks.PassKeys(RouteOver(3), keys);
    EXPECT_DOUBLE_EQ(clocks.last(), hop == 10 ? 23 : 9);
    EXPECT_DOUBLE_EQ(clocks.busiest(), 9);
  }
}

TEST(RankClocksTest, WithoutOverlapAttentionWaits) {
  RankClocks clocks(kSlowNetwork, 3);
  RankClocks::Keys keys;
  keys.bytes = [](int) { return 9.0; };
  keys.work = [](int, int) { return 3.0; };
  keys.overlap = false;
  clocks.PassKeys(RouteOver(3), keys);
  // The last rank has the second's shard at 10 and works; the second, which
  // worked on its own from 10 to 13, sends the first's on then.
  EXPECT_DOUBLE_EQ(clocks.last(), 23 + 3 + 3);
}

// Two ranks: the first's sums follow its shard on the link and are there at
// 14; the second adds what it computed meanwhile and sends them home.
TEST(RankClocksTest, SumsComeHome) {
  RankClocks clocks(kSlowNetwork, 2);
  RankClocks::Keys keys;
  keys.bytes = [](int) { return 4.0; };
  keys.sum_bytes = [](int) { return 9.0; };
  keys.work = [](int, int) { return 3.0; };
  clocks.PassKeys(RouteOver(2), keys);
  EXPECT_DOUBLE_EQ(clocks.last(), 4 + 9 + 1 + 10);
}

// Ranks that wait first summarise one after the other.
TEST(RankClocksTest, SerialWorkIsOnTheChain) {
  RankClocks::Chain chain;
  chain.bytes = 4;
  chain.waits_first = true;
  chain.before_send = 10;
  chain.window = 2;
  RankClocks clocks(kSlowNetwork, 4);
  clocks.PassOn(chain);
  EXPECT_DOUBLE_EQ(clocks.last(), 4 * 10 + 3 * 5 + 2);
  EXPECT_DOUBLE_EQ(clocks.busiest(), 12);
}

// What a chain delays once it does not delay again: the first rank is ahead.
TEST(RankClocksTest, LayersOfChainsAreAPipeline) {
  RankClocks clocks(kSlowNetwork, 4);
  for (int layer = 0; layer < 10; ++layer) {
    clocks.Compute(100);
    clocks.PassOn({.bytes = 4});
  }
  EXPECT_DOUBLE_EQ(clocks.last(), 10 * 100 + 3 * 5);
  // Backward begins where forward ended.
  clocks.PassOn({.bytes = 4, .forward = false});
  EXPECT_DOUBLE_EQ(clocks.last(), 10 * 100 + 2 * 3 * 5);
}

TEST(RankClocksTest, AScanTakesLogarithmicallyManyRounds) {
  for (const bool forward : {true, false}) {
    RankClocks clocks(kSlowNetwork, 8);
    clocks.Scan(4, forward, 2.0);
    EXPECT_DOUBLE_EQ(clocks.last(), 3 * 5.0);
  }
}

// The second message of a rank leaves after the first.
TEST(RankClocksTest, MessagesOfARankFollowEachOther) {
  RankClocks clocks(kSlowNetwork, 3);
  clocks.Compute([](int64_t rank) { return rank == 1 ? 100.0 : 0.0; });
  clocks.Scan(4, true, 0);
  // Rank 0 sends at 0 and 4, rank 1 to rank 2 at 100.
  EXPECT_DOUBLE_EQ(clocks.last(), 105);
  RankClocks quick(kSlowNetwork, 3);
  quick.Scan(4, true, 0);
  EXPECT_DOUBLE_EQ(quick.last(), 2 * 4 + 1);
}

TEST(RankClocksTest, AShiftReachesTheNeighbourOnly) {
  RankClocks clocks(kSlowNetwork, 3);
  clocks.Compute([](int64_t rank) { return rank == 0 ? 10.0 : 0.0; });
  clocks.Shift(4, true);
  EXPECT_DOUBLE_EQ(clocks.last(), 15);
  clocks.Shift(4, false);
  EXPECT_DOUBLE_EQ(clocks.last(), 20);  // rank 1 to rank 0
}

}  // namespace
}  // namespace longspan
