#include "common/model_spec/state_exchange_plan.h"

#include "gtest/gtest.h"

namespace longspan {
namespace {

// 4 heads of 16 x 16, a decay per head.
constexpr StateExchangeShape kGated = {4, 1024, 4, true};
constexpr StateExchangeShape kConstant = {4, 1024, 4, false};

void ExpectMoves(const StateMoves& moves, int64_t calls, int64_t sent,
                 int64_t received) {
  EXPECT_EQ(moves.calls, calls);
  EXPECT_EQ(moves.sent, sent);
  EXPECT_EQ(moves.received, received);
}

TEST(StateExchangePlanTest, Lasp2GathersEverySummaryInOneCall) {
  const auto method = SequenceParallel::kLasp2;
  ExpectMoves(PlanStateMoves(method, kGated, 3, 8, true, false), 1, 7 * 1028,
              7 * 1028);
  ExpectMoves(PlanStateMoves(method, kConstant, 3, 8, true, true), 1, 7 * 1024,
              7 * 1024);
  ExpectMoves(PlanStateMoves(method, kGated, 3, 8, false, false), 1, 7 * 1024,
              7 * 1024);
}

TEST(StateExchangePlanTest, AChainMovesOneStateHoweverManyRanks) {
  for (int ranks : {2, 8, 1024}) {
    const int last = ranks - 1;
    const auto method = SequenceParallel::kLasp1;
    ExpectMoves(PlanStateMoves(method, kGated, 0, ranks, true, false), 1, 1024,
                0);
    ExpectMoves(PlanStateMoves(method, kGated, last, ranks, true, false), 1, 0,
                1024);
    ExpectMoves(PlanStateMoves(method, kGated, 0, ranks, false, false), 1, 0,
                1024);
    ExpectMoves(PlanStateMoves(method, kGated, last, ranks, false, false), 1,
                1024, 0);
  }
  ExpectMoves(
      PlanStateMoves(SequenceParallel::kLasp1, kGated, 3, 8, true, false), 2,
      1024, 1024);
}

// The state that leaves the last rank goes to all others.
TEST(StateExchangePlanTest, AChainsLeavingStateIsSharedInOneMoreCall) {
  const auto method = SequenceParallel::kLasp1;
  ExpectMoves(PlanStateMoves(method, kGated, 0, 4, true, true), 2, 1024, 1024);
  ExpectMoves(PlanStateMoves(method, kGated, 3, 4, true, true), 2, 3 * 1024,
              1024);
}

TEST(StateExchangePlanTest, AllScanSendsBlocksOfHeads) {
  const auto method = SequenceParallel::kAllScan;
  EXPECT_EQ(StateBlocks(method, 4), 4);
  EXPECT_EQ(StateBlocks(method, 64), kAllScanBlocks);
  ExpectMoves(PlanStateMoves(method, kGated, 0, 8, true, false), 4, 1024, 0);
  ExpectMoves(PlanStateMoves(method, kGated, 3, 8, true, false), 5, 1024, 1024);
  ExpectMoves(PlanStateMoves(method, kGated, 7, 8, true, false), 4, 0, 1024);
}

// 8 ranks, 3 rounds: rank 0 sends in each, rank 7 receives in each, rank 3
// does both but for what would come from before rank 0.
TEST(StateExchangePlanTest, AScanMovesPairsInLogRounds) {
  const auto method = SequenceParallel::kScan;
  ExpectMoves(PlanStateMoves(method, kGated, 0, 8, true, false), 3, 3 * 1028,
              0);
  ExpectMoves(PlanStateMoves(method, kGated, 7, 8, true, false), 3, 0,
              3 * 1028);
  ExpectMoves(PlanStateMoves(method, kConstant, 3, 8, true, false), 3, 3 * 1028,
              2 * 1028);
  ExpectMoves(PlanStateMoves(method, kGated, 4, 8, false, false), 3, 3 * 1028,
              2 * 1028);
  ExpectMoves(PlanStateMoves(method, kGated, 1, 3, true, false), 1, 1028, 1028);
}

TEST(StateExchangePlanTest, OnlyLasp2sScratchGrowsWithTheRanks) {
  EXPECT_EQ(StateExchangeScratch(SequenceParallel::kLasp2, kGated, 8, true),
            8 * 1028);
  EXPECT_EQ(StateExchangeScratch(SequenceParallel::kLasp2, kGated, 8, false),
            8 * 1024);
  EXPECT_EQ(StateExchangeScratch(SequenceParallel::kAllScan, kGated, 8, true),
            2 * 1024);
}

// 1,024 numbers of a state are 512 of twice the width; decays stay as they are.
TEST(StateExchangePlanTest, Bf16HalvesTheStatesThatLasp2Gathers) {
  const auto method = SequenceParallel::kLasp2;
  const StateExchangeShape narrow = {4, 1024, 4, true, {.bf16 = true}};
  ExpectMoves(PlanStateMoves(method, narrow, 3, 8, true, false), 1, 7 * 516,
              7 * 516);
  ExpectMoves(PlanStateMoves(method, narrow, 3, 8, false, false), 1, 7 * 512,
              7 * 512);
  ExpectMoves(PlanPartMoves(narrow, 2, 16, 8, true), 2, 2 * 7 * 516, 14 * 516);
  EXPECT_EQ(StateExchangeScratch(method, narrow, 8, true), 8 * 516 + 1024);
  const StateExchangeShape odd = {1, 15, 1, true, {.bf16 = true}};
  EXPECT_EQ(odd.gathered(true), 8 + 1);
}

TEST(StateExchangePlanTest, SplitsShareTheBytes) {
  const auto method = SequenceParallel::kLasp2;
  const StateExchangeShape split = {4, 1024, 4, true, {.splits = 3}};
  ExpectMoves(PlanStateMoves(method, split, 3, 8, true, false), 3, 7 * 1028,
              7 * 1028);
  ExpectMoves(PlanPartMoves(split, 2, 16, 8, true), 6, 2 * 7 * 1028, 14 * 1028);
  EXPECT_EQ(StateExchangeScratch(method, split, 8, true), 8 * 1028);
}

}  // namespace
}  // namespace longspan
