#include "common/simulate/sweep.h"

#include <gtest/gtest.h>

#include "common/simulate/model_preset.h"

namespace longspan {
namespace {

SweepRequest Request() {
  SweepRequest request;
  request.model = ModelPreset("linear-llama3-1b").value();
  request.network = {{{"n", 0, 1e-5, 1e10, 0}}, CollectiveAlgorithm::kRing};
  request.compute = {1e14, 0};
  request.methods = {ExchangeMethod::kLasp2, ExchangeMethod::kLasp1,
                     ExchangeMethod::kUlysses};
  request.tokens = {1 << 14, 1 << 17, 1 << 20};
  request.ranks = {2, 8, 32};
  return request;
}

TEST(SweepTest, EveryPointHasEveryMethod) {
  const std::vector<SweepPoint> points = RunSweep(Request());
  ASSERT_EQ(points.size(), 9u);
  EXPECT_EQ(points[1].tokens, 1 << 17);
  EXPECT_EQ(points[1].ranks, 2);
  EXPECT_EQ(points[1].entries.size(), 3u);
  // 16 heads.
  EXPECT_TRUE(points[3].entries[2].refusal.ok());
  EXPECT_FALSE(points[6].entries[2].refusal.ok());
}

TEST(SweepTest, TheFastestFits) {
  SweepRequest request = Request();
  request.device_memory_bytes = int64_t{80} << 30;
  const std::vector<SweepPoint> points = RunSweep(request);
  for (const SweepPoint& point : points) {
    const SweepEntry* fastest = point.Fastest();
    if (point.tokens / point.ranks > 1 << 15) {
      EXPECT_EQ(fastest, nullptr);
      continue;
    }
    ASSERT_NE(fastest, nullptr);
    for (const SweepEntry& entry : point.entries) {
      if (!entry.refusal.ok() || !entry.fits) continue;
      EXPECT_LE(fastest->cost.total_s, entry.cost.total_s);
    }
  }
}

TEST(SweepTest, RegionsTileTheGrid) {
  const std::vector<SweepPoint> points = RunSweep(Request());
  int64_t lengths = 0;
  for (const WinnerRegion& region : WinnerRegions(points)) {
    EXPECT_NE(region.winner, nullptr);
    for (const SweepPoint& point : points) {
      if (point.ranks != region.ranks || point.tokens < region.first_tokens ||
          point.tokens > region.last_tokens) {
        continue;
      }
      EXPECT_EQ(point.Fastest()->method, region.winner->method);
      ++lengths;
    }
  }
  EXPECT_EQ(lengths, 9);
}

// Section 3 of the reference: N > W^2 d_h / 2.
TEST(SweepTest, CrossoversAreExact) {
  const SweepRequest request = Request();
  SweepRequest fine = request;
  fine.tokens = {64, 1 << 20};
  const int64_t crossover =
      Crossover(fine, 8, ExchangeMethod::kLasp2, ExchangeMethod::kUlysses,
                CostKind::kBytes);
  EXPECT_EQ((crossover + 7) / 8, 8 * 8 * 128 / 2 / 8);
  EXPECT_EQ(Crossover(fine, 8, ExchangeMethod::kLasp2, ExchangeMethod::kLasp1,
                      CostKind::kBytes),
            0);
  EXPECT_EQ(Crossover(fine, 8, ExchangeMethod::kLasp1, ExchangeMethod::kLasp2,
                      CostKind::kBytes),
            64);
}

}  // namespace
}  // namespace longspan
