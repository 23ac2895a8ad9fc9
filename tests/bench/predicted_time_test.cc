#include "bench/kernels/predicted_time.h"

#include <gtest/gtest.h>

namespace longspan::bench {
namespace {

constexpr AttentionSize kMillionTokenHeads = {4, 4096, 64, 128, 2};
constexpr Device kH200 = {4.3e12, 790e12};

// 1024 bytes of q, k, v, o and 1792 of backward per token-head, by hand.
TEST(PredictedTime, FloorOfLinearAttention) {
  const Cost forward = LinearForwardCost(kMillionTokenHeads, false);
  EXPECT_DOUBLE_EQ(forward.floor_bytes, 1048576.0 * 1024);
  EXPECT_NEAR(FloorMs(forward, kH200), 0.2497, 1e-4);
  const Cost backward = LinearBackwardCost(kMillionTokenHeads, false);
  EXPECT_DOUBLE_EQ(backward.floor_bytes, 1048576.0 * 1792);
}

TEST(PredictedTime, GateAddsItsBytes) {
  EXPECT_DOUBLE_EQ(LinearForwardCost(kMillionTokenHeads, true).floor_bytes -
                       LinearForwardCost(kMillionTokenHeads, false).floor_bytes,
                   1048576.0 * 4);
}

TEST(PredictedTime, LargerTermAndLaunchesDecide) {
  Cost cost = StreamingCost(4.3e9);
  EXPECT_NEAR(PredictedMs(cost, kH200), 1.0 + 0.004, 1e-9);
  cost.operations = 790e12 * 0.6 * 2e-3;  // two milliseconds
  EXPECT_NEAR(PredictedMs(cost, kH200), 2.0 + 0.004, 1e-9);
}

TEST(PredictedTime, OneAfterTheOther) {
  const Cost a = LinearForwardCost(kMillionTokenHeads, false);
  const Cost b = LinearBackwardCost(kMillionTokenHeads, false);
  EXPECT_NEAR(FloorMs(a + b, kH200), FloorMs(a, kH200) + FloorMs(b, kH200),
              1e-12);
  EXPECT_EQ((a + b).launches, a.launches + b.launches);
}

TEST(PredictedTime, SoftmaxCountsVisiblePairs) {
  const AttentionSize size = {1, 16384, 16, 128, 2};
  // 4 T^2 d for a full square, half of it visible.
  EXPECT_DOUBLE_EQ(SoftmaxForwardCost(size).operations,
                   16.0 * 2.0 * 16384 * 16384 * 128);
}

TEST(PredictedTime, Name) {
  EXPECT_EQ(kMillionTokenHeads.name(), "B4_T4096_H64_D128");
}

}  // namespace
}  // namespace longspan::bench
