#include "common/simulate/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace longspan {
namespace {

using testing::HasSubstr;

Network NetworkOf(const char* levels, CollectiveAlgorithm algorithm) {
  return {ParseNetworkLevels(levels).value(), algorithm};
}

std::string ErrorOf(const char* levels) {
  return std::string(ParseNetworkLevels(levels).status().message());
}

TEST(NetworkTest, LevelsAreRead) {
  const auto levels =
      ParseNetworkLevels("node:8:5us:300GB,all:all:15us:200GB:25GB").value();
  ASSERT_EQ(levels.size(), 2u);
  EXPECT_EQ(levels[0].ranks, 8);
  EXPECT_DOUBLE_EQ(levels[0].latency_s, 5e-6);
  EXPECT_DOUBLE_EQ(levels[0].bandwidth, 300e9);
  EXPECT_EQ(levels[1].ranks, 0);
  EXPECT_DOUBLE_EQ(levels[1].flow_bandwidth, 25e9);
}

TEST(NetworkTest, MistakesNameTheLevelAndTheForm) {
  EXPECT_THAT(ErrorOf("node:8:5us"), HasSubstr("3 fields, not 4 or 5"));
  EXPECT_THAT(ErrorOf("node:0:5us:1GB"), HasSubstr("'0' is not a number"));
  EXPECT_THAT(ErrorOf("node:8:5:1GB"), HasSubstr("'5' is not a duration"));
  EXPECT_THAT(ErrorOf("node:8:5us:fast"), HasSubstr("'fast' is not a size"));
  EXPECT_THAT(ErrorOf("a:8:1us:1GB,b:12:1us:1GB"),
              HasSubstr("12 ranks are not several groups of 8 (a)"));
  EXPECT_THAT(ErrorOf("a:all:1us:1GB,b:12:1us:1GB"),
              HasSubstr("only the last level holds all ranks"));
}

TEST(NetworkTest, EndsWhereItsLastLevelDoes) {
  const Network network =
      NetworkOf("node:8:5us:300GB", CollectiveAlgorithm::kRing);
  EXPECT_TRUE(CheckRanks(network, 8).ok());
  EXPECT_THAT(std::string(CheckRanks(network, 9).message()),
              HasSubstr("9 ranks: the network ends at 8 (level node)"));
}

TEST(NetworkTest, OneLevelIsTheTextbook) {
  const Network ring = NetworkOf("n:all:1ms:1MB", CollectiveAlgorithm::kRing);
  EXPECT_DOUBLE_EQ(AllGatherSeconds(ring, 4, 1e5), 3 * (1e-3 + 0.1));
  EXPECT_DOUBLE_EQ(AllToAllSeconds(ring, 4, 1e5), 3 * (1e-3 + 0.1));
  const Network direct =
      NetworkOf("n:all:1ms:1MB", CollectiveAlgorithm::kDirect);
  EXPECT_DOUBLE_EQ(AllGatherSeconds(direct, 4, 1e5), 1e-3 + 0.3);
  EXPECT_DOUBLE_EQ(MessageSeconds(direct, 2, 3, 1e5), 1e-3 + 0.1);
  EXPECT_DOUBLE_EQ(AllGatherSeconds(direct, 1, 1e5), 0);
}

// 4 nodes of 8: nodes exchange 8 states each, then every rank passes on the 4
// that its rail has.
TEST(NetworkTest, ANodeSendsItsStatesOnce) {
  const Network network =
      NetworkOf("node:8:1us:1GB,all:all:1ms:1MB", CollectiveAlgorithm::kRing);
  EXPECT_DOUBLE_EQ(AllGatherSeconds(network, 32, 1e3),
                   3 * (1e-3 + 8e3 / 1e6) + 7 * (1e-6 + 4e3 / 1e9));
  EXPECT_DOUBLE_EQ(AllToAllSeconds(network, 32, 1e3),
                   24 * 1e-3 + 8 * 24 * 1e3 / 1e6 + 7 * 1e-6 + 7e3 / 1e9);
}

TEST(NetworkTest, MessagesTakeTheLevelBetweenTheirRanks) {
  const Network network = NetworkOf("node:8:1us:1GB,all:all:1ms:8MB:1MB",
                                    CollectiveAlgorithm::kRing);
  EXPECT_EQ(LevelBetween(network, 0, 7), 0u);
  EXPECT_EQ(LevelBetween(network, 7, 8), 1u);
  EXPECT_DOUBLE_EQ(MessageSeconds(network, 7, 8, 1e3), 1e-3 + 1e-3);
}

TEST(NetworkTest, NoBandwidthIsUnlimited) {
  const Network network =
      NetworkOf("n:all:1ms:0", CollectiveAlgorithm::kDirect);
  EXPECT_DOUBLE_EQ(AllGatherSeconds(network, 4, 1e12), 1e-3);
}

}  // namespace
}  // namespace longspan
