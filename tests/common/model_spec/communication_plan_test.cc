#include "common/model_spec/communication_plan.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

ModelSpec Hybrid() {
  ModelSpec spec;
  spec.hidden_size = 64;
  spec.layer_count = 2;
  spec.layer_pattern = "LN";
  spec.linear.heads = 4;
  spec.softmax.heads = 4;
  spec.softmax.key_heads = 2;
  return ResolveDefaults(spec);
}

int64_t BytesSent(const ModelSpec& spec, int64_t tokens, int ranks, int rank,
                  TransferKind kind, TransferDirection direction) {
  int64_t bytes = 0;
  const CommunicationShape shape = {1, *SplitTokens(tokens, ranks), 4, true,
                                    false};
  for (const PlannedTransfer& t : PlanCommunication(spec, shape, rank)) {
    if (t.kind == kind && t.direction == direction) bytes += t.bytes_sent;
  }
  return bytes;
}

TEST(CommunicationPlanTest, OneRankMovesNothing) {
  EXPECT_TRUE(
      PlanCommunication(Hybrid(), {1, *SplitTokens(512, 1), 4, true, false}, 0)
          .empty());
}

// (W - 1) (S + x) forward, (W - 1) S backward, whatever the length.
TEST(CommunicationPlanTest, StatesDoNotGrowWithTheSequence) {
  constexpr int64_t kState = 4 * 16 * 16 * 4;
  for (int64_t tokens : {512, 262144}) {
    EXPECT_EQ(BytesSent(Hybrid(), tokens, 4, 1, TransferKind::kStateExchange,
                        TransferDirection::kForward),
              3 * (kState + 4 * 4));
    EXPECT_EQ(BytesSent(Hybrid(), tokens, 4, 1, TransferKind::kStateExchange,
                        TransferDirection::kBackward),
              3 * kState);
    EXPECT_EQ(BytesSent(Hybrid(), tokens, 2, 0, TransferKind::kConvolutionHalo,
                        TransferDirection::kForward),
              3 * 3 * 64 * 4);
  }
  // A decay per row of the state.
  ModelSpec channels = Hybrid();
  channels.linear.mixer = LinearMixer::kGla;
  EXPECT_EQ(BytesSent(channels, 512, 4, 1, TransferKind::kStateExchange,
                      TransferDirection::kForward),
            3 * (kState + 4 * 16 * 4));
  // 8 key channels make 1 + 8 + 36 features, and the normaliser a column.
  ModelSpec based = Hybrid();
  based.linear.mixer = LinearMixer::kBased;
  based.linear.key_dim = 8;
  EXPECT_EQ(BytesSent(based, 512, 4, 1, TransferKind::kStateExchange,
                      TransferDirection::kBackward),
            3 * 4 * 45 * 17 * 4);
  ModelSpec constant = Hybrid();
  constant.linear.mixer = LinearMixer::kLightning;
  EXPECT_EQ(BytesSent(constant, 512, 4, 1, TransferKind::kStateExchange,
                      TransferDirection::kForward),
            3 * kState);
}

TEST(CommunicationPlanTest, KeysAndValuesGrowLinearly) {
  const auto bytes = [](int64_t tokens) {
    return BytesSent(Hybrid(), tokens, 4, 2, TransferKind::kKeyValueExchange,
                     TransferDirection::kForward);
  };
  EXPECT_EQ(bytes(512), 3 * 128 * 2 * 32 * 4);
  EXPECT_EQ(bytes(262144), 512 * bytes(512));
}

TEST(CommunicationPlanTest, WhatIsSentIsReceived) {
  const CommunicationShape shape = {2, *SplitTokens(13, 5), 8, true, true};
  int64_t sent = 0, received = 0;
  for (int rank = 0; rank < 5; ++rank) {
    for (const PlannedTransfer& t : PlanCommunication(Hybrid(), shape, rank)) {
      sent += t.bytes_sent;
      received += t.bytes_received;
    }
  }
  EXPECT_GT(sent, 0);
  EXPECT_EQ(sent, received);
}

TEST(CommunicationPlanTest, HalosComeFromSeveralShortRanges) {
  const std::vector<TokenRange> ranges = {{0, 5}, {5, 6}, {6, 7}, {7, 12}};
  std::vector<std::vector<int64_t>> moves;
  for (const HaloMove& move : PlanHalos(ranges, 4)) {
    moves.push_back({move.from, move.to, move.tokens.begin, move.tokens.end});
  }
  using Move = std::vector<int64_t>;
  EXPECT_THAT(moves, ::testing::ElementsAre(
                         Move{0, 1, 2, 5}, Move{1, 2, 5, 6}, Move{2, 3, 6, 7},
                         Move{0, 2, 3, 5}, Move{1, 3, 5, 6}, Move{0, 3, 4, 5}));
}

TEST(CommunicationPlanTest, StagingHoldsEveryRanksHalos) {
  for (int64_t kernel : {2, 4, 8}) {
    for (int ranks : {2, 3, 5, 12}) {
      for (int64_t tokens = ranks; tokens < 10 * ranks; ++tokens) {
        std::vector<int64_t> staged(ranks);
        for (const HaloMove& move :
             PlanHalos(*SplitTokens(tokens, ranks), kernel)) {
          staged[move.from] += move.tokens.size();
          staged[move.to] += move.tokens.size();
        }
        for (int64_t rank : staged) {
          EXPECT_LE(rank, HaloStagingTokens(kernel, ranks));
        }
      }
    }
  }
  EXPECT_EQ(HaloStagingTokens(4, 1), 0);
  EXPECT_EQ(HaloStagingTokens(4, 2), 9);
}

}  // namespace
}  // namespace longspan
