// The paper's own numbers (arXiv 2502.07563), by its own way of counting.
#include "common/simulate/published.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model_spec/communication_plan.h"
#include "common/simulate/model_preset.h"
#include "common/simulate/scale_advice.h"
#include "tests/common/simulate/sample_cluster.h"

namespace longspan {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

PublishedCost CostOf(ExchangeMethod method, int64_t tokens, int ranks) {
  return PublishedCostOf(ModelPreset("linear-llama3-1b").value(),
                         ShapeOf(tokens, ranks), kSampleNetwork, kSampleCompute,
                         method)
      .value();
}

// 2 (W - 1) steps of B H d_h^2 against 2, per layer and iteration: W - 1 times
// the steps and the bytes, whatever the length.
TEST(PublishedTest, Lasp1CountsWMinusOneTimesLasp2) {
  for (int ranks : {8, 64, 128}) {
    const PublishedCost lasp2 = CostOf(ExchangeMethod::kLasp2, 1 << 20, ranks);
    const PublishedCost lasp1 = CostOf(ExchangeMethod::kLasp1, 1 << 20, ranks);
    EXPECT_EQ(lasp2.steps, 2 * 16);
    EXPECT_EQ(lasp1.steps, 2 * 16 * (ranks - 1));
    EXPECT_EQ(lasp2.bytes, 2 * 16 * (16 * 128 * 128) * 2);
    EXPECT_EQ(lasp1.bytes, lasp2.bytes * (ranks - 1));
    EXPECT_FALSE(lasp2.recalled);
  }
}

// What is really sent has the ratio the other way round.
TEST(PublishedTest, WhatIsSentHasTheInverseRatio) {
  const ModelSpec model = ModelPreset("linear-llama3-1b").value();
  const auto sent = [&](ExchangeMethod method) {
    return Simulate(model, ShapeOf(1 << 20, 64), kSampleNetwork, kSampleCompute,
                    method)
        ->forward_bytes;
  };
  EXPECT_EQ(sent(ExchangeMethod::kLasp2), 63 * sent(ExchangeMethod::kLasp1));
}

// LASP B d^2 / H : Ring 2 B N d / H : Ulysses 4 B N d / W : Megatron-SP
// 2 B N d + 4 B N d / W, forward, per layer.
TEST(PublishedTest, TheRatiosOfTheLasp1Paper) {
  const double tokens = 1 << 20, width = 2048, heads = 16, ranks = 8;
  const double unit = 2 * 16 * width * 2;  // directions, layers, d, bytes
  const auto units = [&](ExchangeMethod method) {
    const PublishedCost cost = CostOf(method, 1 << 20, 8);
    EXPECT_TRUE(cost.recalled);
    return cost.bytes / unit;
  };
  EXPECT_NEAR(units(ExchangeMethod::kRingLeft), 2 * tokens / heads, 1);
  EXPECT_NEAR(units(ExchangeMethod::kUlysses), 4 * tokens / ranks, 1);
  EXPECT_NEAR(units(ExchangeMethod::kMegatronSp),
              2 * tokens + 4 * tokens / ranks, 1);
  EXPECT_NEAR(CostOf(ExchangeMethod::kLasp2, 1 << 20, 8).bytes / unit,
              width / heads, 1e-6);
}

TEST(PublishedTest, WhatThePapersLackIsRefused) {
  const auto error = [](const char* preset, ExchangeMethod method) {
    return std::string(PublishedCostOf(ModelPreset(preset).value(),
                                       ShapeOf(1 << 20, 8), kSampleNetwork,
                                       kSampleCompute, method)
                           .status()
                           .message());
  };
  EXPECT_THAT(error("linear-llama3-1b", ExchangeMethod::kAllScan),
              HasSubstr("not all_scan: use --mode bytes"));
  EXPECT_THAT(error("linear-llama3-1b-hybrid", ExchangeMethod::kLasp2),
              HasSubstr("softmax layers"));
}

// Table 6 by itself: 2048K needs 128 GPUs, and memory is that of N / W.
TEST(PublishedTest, TheHeadlineIsOutOfMemoryInTable6) {
  bool headline = false;
  for (const PublishedRun& run : PublishedTable6()) {
    const int64_t local = run.tokens / run.ranks;
    EXPECT_EQ(run.gigabytes == 0, local > 16 << 10);
    if (run.gigabytes > 0) {
      EXPECT_EQ(run.gigabytes, local == 16 << 10 ? 57.8 : 40.2);
    }
    headline = headline || (run.tokens == 2 << 20 && run.ranks == 64);
  }
  EXPECT_TRUE(headline);
  EXPECT_THAT(PublishedContradictions(),
              Contains(AllOf(HasSubstr("+36.6 %"), HasSubstr("OOM"),
                             HasSubstr("2048K tokens on 64 GPUs"))));
  EXPECT_THAT(PublishedContradictions(),
              Contains(AllOf(HasSubstr("1.93 s on 16 GPUs"),
                             HasSubstr("71 % efficiency"))));
}

TEST(PublishedTest, PresetsAreTheModelsOfThePaper) {
  const ModelSpec model = ModelPreset("linear-llama3-1b").value();
  EXPECT_TRUE(Validate(model).empty());
  EXPECT_EQ(model.linear.heads, 16);
  EXPECT_EQ(model.linear.key_dim, 128);
  EXPECT_TRUE(Validate(ModelPreset("linear-llama3-8b").value()).empty());
  EXPECT_TRUE(Validate(ModelPreset("linear-llama3-1b-hybrid").value()).empty());
  EXPECT_FALSE(ModelPreset("gpt").ok());
}

// ---- What breaks first.

std::string Advice(const char* levels, int64_t memory) {
  SweepRequest request;
  request.model = ModelPreset("linear-llama3-1b").value();
  request.network = {ParseNetworkLevels(levels).value(),
                     CollectiveAlgorithm::kRing};
  request.compute = kSampleCompute;
  request.methods = {ExchangeMethod::kLasp2, ExchangeMethod::kAllScan};
  request.device_memory_bytes = memory;
  return ScaleAdvice(request, 4 << 20, 2048);
}

TEST(ScaleAdviceTest, SaysWhatBreaksFirst) {
  constexpr char kFar[] = "node:8:1us:1TB,site:1024:5us:1TB,net:all:1s:1TB";
  constexpr char kThin[] = "node:8:1us:1TB,site:1024:5us:1TB,net:all:5us:1MB";
  EXPECT_THAT(Advice(kFar, 0), AllOf(HasSubstr("2048 x 1.0 MiB = 2.0 GiB"),
                                     HasSubstr("Latency breaks first")));
  EXPECT_THAT(Advice(kThin, 0), AllOf(HasSubstr("the slowest level, net,"),
                                      HasSubstr("Bandwidth breaks first")));
  EXPECT_THAT(Advice(kFar, int64_t{1} << 30), HasSubstr("Memory breaks first"));
}

// 16 layers, a second each to gather: all of them forward and backward, 12 of
// them in a hybrid, and none where none is linear.
TEST(ScaleAdviceTest, CountsTheLayersThatGather) {
  SweepRequest request;
  request.model = ModelPreset("linear-llama3-1b").value();
  request.network = {{{"n", 0, 1.0, 0, 0}}, CollectiveAlgorithm::kDirect};
  request.compute = kSampleCompute;
  request.methods = {ExchangeMethod::kLasp2};
  const auto advice = [&] { return ScaleAdvice(request, 1 << 16, 8); };
  EXPECT_THAT(advice(), HasSubstr("32.0 s of a step on latency"));
  request.shape.train = false;
  EXPECT_THAT(advice(), HasSubstr("16.0 s of a step on latency"));
  request.model = ModelPreset("linear-llama3-1b-hybrid").value();
  EXPECT_THAT(advice(), HasSubstr("12.0 s of a step on latency"));
  request.model.layer_pattern = "N";
  EXPECT_THAT(advice(), HasSubstr("no layer has a state to gather"));
}

// deltanet's decays, matrices, travel with the states, but not back.
TEST(ScaleAdviceTest, BackwardGathersStatesAlone) {
  SweepRequest request;
  request.model.linear.mixer = LinearMixer::kDeltaNet;
  request.model.layer_pattern = "L";
  request.model = ResolveDefaults(request.model);
  request.compute = kSampleCompute;
  request.methods = {ExchangeMethod::kLasp2};
  const StateExchangeShape state = StateShapeOf(request.model.linear, 1);
  ASSERT_GT(state.travelling(), 0);
  // Ten seconds a step for states there and back, and for decays there.
  const double bytes =
      4.0 * request.model.layer_count * (2 * state.state + state.decay);
  request.network = {{{"n", 0, 0, bytes / 10, 0}},
                     CollectiveAlgorithm::kDirect};
  EXPECT_THAT(ScaleAdvice(request, 1 << 16, 2), HasSubstr("10.0 s on bytes"));
}

}  // namespace
}  // namespace longspan
