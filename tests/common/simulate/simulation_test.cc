#include "common/simulate/simulation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "common/model_spec/model_cost.h"
#include "common/simulate/model_preset.h"
#include "tests/common/simulate/sample_cluster.h"

namespace longspan {
namespace {

Network Uniform(double latency, double bandwidth) {
  return {{{"n", 0, latency, bandwidth, 0}}, CollectiveAlgorithm::kDirect};
}

ModelSpec Linear() { return ModelPreset("linear-llama3-1b").value(); }
ModelSpec Hybrid() { return ModelPreset("linear-llama3-1b-hybrid").value(); }

double Seconds(const ModelSpec& model, ExchangeMethod method,
               const SimulationShape& shape, const Network& network) {
  return Simulate(model, shape, network, kSampleCompute, method)->total_s;
}

// One rank: operations over the rate, whatever the method.
TEST(SimulationTest, OneRankOnlyComputes) {
  for (const ModelSpec& model : {Linear(), Hybrid()}) {
    const int64_t tokens = 1 << 16;
    const double expected = TrainFlopsPerToken(model, tokens) * tokens / 1e14;
    for (ExchangeMethod method : AllExchangeMethods()) {
      const MethodCost cost = Simulate(model, ShapeOf(tokens, 1), Uniform(1, 1),
                                       kSampleCompute, method)
                                  .value();
      EXPECT_NEAR(cost.total_s, expected, 1e-9 * expected);
      EXPECT_EQ(cost.exposed_s, 0);
      EXPECT_EQ(cost.forward_bytes, 0);
      EXPECT_EQ(cost.buffer_bytes, 0);
    }
  }
}

// A network without latency and limit leaves the compute of a W-th.
TEST(SimulationTest, AFreeNetworkDividesTheWork) {
  const int64_t tokens = 1 << 16;
  const double expected =
      TrainFlopsPerToken(Linear(), tokens) * tokens / 1e14 / 8;
  for (ExchangeMethod method :
       {ExchangeMethod::kLasp2, ExchangeMethod::kLasp1,
        ExchangeMethod::kAllScan, ExchangeMethod::kScan,
        ExchangeMethod::kUlysses, ExchangeMethod::kMegatronSp}) {
    EXPECT_NEAR(Seconds(Linear(), method, ShapeOf(tokens, 8), Uniform(0, 0)),
                expected, 1e-9 * expected)
        << ExchangeMethodName(method);
  }
}

// A gather is waited for in every layer, there and back; a chain delays a
// pass once; a ring whose rows come back down the ranks, every layer.
TEST(SimulationTest, LatencyCountsByMethod) {
  ModelSpec model = Linear();
  const SimulationShape shape = ShapeOf(8 * 64, 8);
  const auto delay = [&](ExchangeMethod method) {
    return Seconds(model, method, shape, Uniform(10, 0)) -
           Seconds(model, method, shape, Uniform(0, 0));
  };
  const double sync = 2 * 10;  // of the gradients
  EXPECT_NEAR(delay(ExchangeMethod::kLasp2) - sync, 2 * 16 * 10, 0.1);
  EXPECT_NEAR(delay(ExchangeMethod::kLasp1) - sync, 2 * 7 * 10, 0.1);
  EXPECT_NEAR(delay(ExchangeMethod::kUlysses) - sync, 2 * 16 * 2 * 10, 0.1);
  EXPECT_NEAR(delay(ExchangeMethod::kMegatronSp) - sync, 16 * 5 * 10, 0.1);
  EXPECT_NEAR(delay(ExchangeMethod::kRing) - sync, 2 * 7 * 10, 0.1);
  EXPECT_NEAR(delay(ExchangeMethod::kRingLeft) - sync, 16 * 2 * 7 * 10, 0.1);
}

TEST(SimulationTest, OverlapHidesNoMoreThanItsWindow) {
  SimulationShape shape = ShapeOf(1 << 20, 8);
  const Network network = Uniform(1e-4, 1e10);
  const double with = Seconds(Linear(), ExchangeMethod::kLasp2, shape, network);
  shape.overlap = false;
  const double without =
      Seconds(Linear(), ExchangeMethod::kLasp2, shape, network);
  EXPECT_LT(with, without);
  const double intra =
      3 * 16 * LinearFlopsPerToken(Linear().linear).intra * (1 << 17) / 1e14;
  EXPECT_LE(without - with, intra + 1e-12);
}

// The last rank of contiguous ranges has (2 W - 1) / W of the mean work.
TEST(SimulationTest, ZigzagEvensOutCausalWork) {
  ModelSpec model = Hybrid();
  model.layer_pattern = "N";
  SimulationShape shape = ShapeOf(1 << 20, 8);
  const Network network = Uniform(0, 0);
  const double contiguous =
      Seconds(model, ExchangeMethod::kLasp2, shape, network);
  shape.layout = TokenLayout::kZigzag;
  const double zigzag = Seconds(model, ExchangeMethod::kLasp2, shape, network);
  const double dense = 3 * ForwardFlopsPerToken(model, 0) * (1 << 17) / 1e14;
  EXPECT_NEAR((contiguous - dense) / (zigzag - dense), 15.0 / 8, 1e-6);
}

// Two parts on every rank: two summaries each way, in flight together.
TEST(SimulationTest, ZigzagSendsTheStatesOfTwoParts) {
  SimulationShape shape = ShapeOf(8 * 64, 8);
  const double bandwidth = 1e6;
  const auto seconds = [&](const Network& network) {
    return Seconds(Linear(), ExchangeMethod::kLasp2, shape, network);
  };
  const auto transfer = [&](double latency) {
    return seconds(Uniform(latency, bandwidth)) - seconds(Uniform(latency, 0));
  };
  const double contiguous = transfer(10);
  const double latencies = seconds(Uniform(10, 0));
  shape.layout = TokenLayout::kZigzag;
  const double state = 16 * 128 * 128 * 4;
  EXPECT_NEAR(transfer(10) - contiguous, 2 * 16 * 7 * state / bandwidth, 1);
  EXPECT_NEAR(seconds(Uniform(10, 0)), latencies, 1e-6);
}

// As `longspan plan` does: 32Ki tokens on 4 ranks, layers LLLN.
TEST(SimulationTest, AutoIsThePlannersLayout) {
  SimulationShape shape = ShapeOf(32 << 10, 4);
  shape.layout = std::nullopt;
  shape.element_bytes = 4;
  shape.backend = kernels::BackendKind::kCpu;
  const auto layout = [&](const ModelSpec& model, ExchangeMethod method) {
    return Simulate(model, shape, Uniform(1e-3, 1e9), kSampleCompute, method)
        ->layout;
  };
  EXPECT_EQ(layout(Hybrid(), ExchangeMethod::kLasp2), TokenLayout::kZigzag);
  EXPECT_EQ(layout(Linear(), ExchangeMethod::kLasp2), TokenLayout::kContiguous);
  for (ExchangeMethod method : AllExchangeMethods()) {
    if (method == ExchangeMethod::kLasp2) continue;
    EXPECT_EQ(layout(Hybrid(), method), TokenLayout::kContiguous)
        << ExchangeMethodName(method);
  }
  shape.backend = kernels::BackendKind::kCuda;
  EXPECT_EQ(layout(Hybrid(), ExchangeMethod::kLasp2), TokenLayout::kContiguous);
}

TEST(SimulationTest, WhatZigzagDoesNotGoWithIsRefused) {
  SimulationShape shape = ShapeOf(32 << 10, 4);
  shape.layout = TokenLayout::kZigzag;
  const auto error = [&](ExchangeMethod method) {
    return std::string(
        Simulate(Hybrid(), shape, Uniform(0, 0), kSampleCompute, method)
            .status()
            .message());
  };
  EXPECT_EQ(error(ExchangeMethod::kLasp2), "");
  EXPECT_EQ(error(ExchangeMethod::kScan),
            "zigzag goes with sequence_parallel lasp2, not with scan, whose "
            "ranks hold one range each: use lasp2 or contiguous");
  shape.train = false;
  EXPECT_EQ(error(ExchangeMethod::kLasp2),
            "zigzag is a layout of training steps: use contiguous for a "
            "forward pass alone");
}

// Four slices of the 16 heads of keys, over a network on which each takes
// longer than attention to one: only that to the last slice is not hidden.
TEST(SimulationTest, KeysComeInSlicesWhileRanksAttend) {
  ModelSpec model = Hybrid();
  model.layer_pattern = "N";
  model.layer_count = 1;
  const int64_t tokens = 1 << 16;
  SimulationShape shape = ShapeOf(tokens, 8);
  const auto seconds = [&](double bandwidth) {
    return Seconds(model, ExchangeMethod::kLasp2, shape, Uniform(0, bandwidth));
  };
  // Of the last rank, forward.
  const double pairs = 0.5 * tokens * tokens * (1 - 49.0 / 64);
  const double attention = pairs * SoftmaxFlopsPerPair(model.softmax) / 1e14;
  const double with = seconds(1e6);
  const double alone = seconds(0);
  shape.overlap = false;
  EXPECT_NEAR(seconds(0), alone, 1e-9);
  EXPECT_NEAR(seconds(1e6) - with, 3 * attention * 3 / 4, 1e-6);
}

// A shard goes to the last rank and no further: W - 1 hops a pass, and one
// home. Forward the first rank, which waits for nobody, is ahead of the others
// by all of them, so a second layer adds none.
TEST(SimulationTest, SoftmaxRingsEndAtTheLastReader) {
  ModelSpec model = Hybrid();
  model.layer_pattern = "N";
  model.layer_count = 2;
  SimulationShape shape = ShapeOf(8 * 64, 8);
  shape.softmax = SoftmaxParallel::kRing;
  const auto delay = [&] {
    return Seconds(model, ExchangeMethod::kLasp2, shape, Uniform(10, 0)) -
           Seconds(model, ExchangeMethod::kLasp2, shape, Uniform(0, 0));
  };
  shape.train = false;
  EXPECT_NEAR(delay(), 7 * 10, 1e-3);
  model.softmax.window = 32;  // reaches one rank
  EXPECT_NEAR(delay(), 2 * 10, 1e-3);
}

TEST(SimulationTest, TheLeftProductIsQuadratic) {
  const Network network = Uniform(0, 0);
  const auto seconds = [&](int64_t tokens) {
    return Seconds(Linear(), ExchangeMethod::kRingLeft, ShapeOf(tokens, 8),
                   network);
  };
  // Without what is linear: 2 b N^2 of a N + b N^2.
  const auto squares = [&](int64_t tokens) {
    return seconds(2 * tokens) - 2 * seconds(tokens);
  };
  EXPECT_NEAR(squares(1 << 20) / squares(1 << 19), 4, 1e-6);
}

// The last rank has 7 ranges before it, forward and again backward. By then all
// others have done what they have of the ranges behind theirs, twice as much
// each, but for the last range.
TEST(SimulationTest, LeftProductsWaitForTheLastRank) {
  ModelSpec model = Linear();
  model.layer_count = 1;
  const int64_t tokens = 1 << 16;
  const double own = TrainFlopsPerToken(model, tokens) * tokens / 8 / 1e14;
  const double pairs = std::pow(static_cast<double>(tokens) / 8, 2);
  const double left = 2.0 * 2048 * 2 * pairs / 1e14;
  EXPECT_NEAR(Seconds(model, ExchangeMethod::kRingLeft, ShapeOf(tokens, 8),
                      Uniform(0, 0)),
              own + (7 + 7 + 2) * left, 1e-6 * own);
}

// B n^2 pairs of tokens, of either product.
TEST(SimulationTest, TwiceTheBatchIsTwiceTheLeftProduct) {
  const Network network = Uniform(0, 0);
  SimulationShape shape = ShapeOf(1 << 16, 8);
  const double one =
      Seconds(Linear(), ExchangeMethod::kRingLeft, shape, network);
  shape.batch = 2;
  EXPECT_NEAR(Seconds(Linear(), ExchangeMethod::kRingLeft, shape, network),
              2 * one, 1e-9 * one);
}

// 16 heads over 12 ranks: the first four have two of them, an eighth of the
// work of all tokens.
TEST(SimulationTest, UnevenHeadsAreUnevenWork) {
  const int64_t tokens = 12 * 1024;
  const double linear =
      3 * 16 * LinearFlopsPerToken(Linear().linear).total() * tokens / 1e14;
  const double dense =
      (TrainFlopsPerToken(Linear(), 0) * tokens / 1e14 - linear) / 12;
  EXPECT_NEAR(Seconds(Linear(), ExchangeMethod::kUlysses, ShapeOf(tokens, 12),
                      Uniform(0, 0)),
              dense + linear / 8, 1e-9);
}

// Softmax layers of a ulysses job gather keys or pass them on as any other's.
TEST(SimulationTest, SoftmaxLayersBesideHeadsGoAsTheJobSays) {
  ModelSpec model = Hybrid();
  model.layer_pattern = "N";
  SimulationShape shape = ShapeOf(1 << 16, 8);
  const Network network = Uniform(1, 0);
  for (SoftmaxParallel softmax :
       {SoftmaxParallel::kGather, SoftmaxParallel::kRing,
        SoftmaxParallel::kUlysses}) {
    shape.softmax = softmax;
    EXPECT_DOUBLE_EQ(Seconds(model, ExchangeMethod::kUlysses, shape, network),
                     Seconds(model, ExchangeMethod::kLasp2, shape, network));
  }
}

// Softmax layers by heads: every rank the same work, two collectives a pass.
TEST(SimulationTest, SoftmaxLayersByHeadsShareTheWork) {
  ModelSpec model = Hybrid();
  model.layer_pattern = "N";
  SimulationShape shape = ShapeOf(1 << 16, 8);
  shape.softmax = SoftmaxParallel::kUlysses;
  SimulationShape balanced = shape;
  balanced.softmax = SoftmaxParallel::kGather;
  balanced.layout = TokenLayout::kZigzag;
  const auto seconds = [&](const SimulationShape& of, const Network& network) {
    return Seconds(model, ExchangeMethod::kLasp2, of, network);
  };
  const double alone = seconds(balanced, Uniform(0, 0));
  EXPECT_NEAR(seconds(shape, Uniform(0, 0)), alone, 1e-9 * alone);
  const int64_t layers = model.layer_count;
  const double sync = 2;  // the gradients' two collectives
  EXPECT_NEAR(seconds(shape, Uniform(10, 0)) - alone,
              (2 * 2 * layers + sync) * 10, 1e-3);
  shape.ranks = 64;
  EXPECT_FALSE(
      Simulate(model, shape, Uniform(1, 0), {1, 0}, ExchangeMethod::kLasp2)
          .ok());
}

// What softmax layers do beside other methods is nothing to a ring.
TEST(SimulationTest, RingsAreRingsBesideAnySoftmaxMethod) {
  for (ExchangeMethod ring :
       {ExchangeMethod::kRing, ExchangeMethod::kRingLeft}) {
    SimulationShape shape = ShapeOf(1 << 16, 64);  // more ranks than heads
    const double expected = Seconds(Hybrid(), ring, shape, Uniform(1e-5, 1e9));
    for (SoftmaxParallel other :
         {SoftmaxParallel::kUlysses, SoftmaxParallel::kMegatronSp}) {
      shape.softmax = other;
      EXPECT_EQ(Seconds(Hybrid(), ring, shape, Uniform(1e-5, 1e9)), expected);
    }
  }
}

TEST(SimulationTest, RatesMustBeRates) {
  const ComputeModel none;
  EXPECT_EQ(Simulate(Linear(), ShapeOf(64, 2), Uniform(0, 0), none,
                     ExchangeMethod::kLasp2)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace longspan
