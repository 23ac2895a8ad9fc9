// Bytes of the methods: equal to the planner's functions, and to the numbers of
// section Bytes of docs/simulate.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/row_exchange_plan.h"
#include "common/simulate/model_preset.h"
#include "common/simulate/simulation.h"
#include "tests/common/simulate/sample_cluster.h"

namespace longspan {
namespace {

using testing::HasSubstr;

ModelSpec Preset(const char* name) { return ModelPreset(name).value(); }

MethodCost CostOf(const ModelSpec& model, ExchangeMethod method, int64_t tokens,
                  int ranks) {
  return Simulate(model, ShapeOf(tokens, ranks), kSampleNetwork, kSampleCompute,
                  method)
      .value();
}

// The models of every transition, with what else travels.
std::vector<ModelSpec> Models() {
  std::vector<ModelSpec> models = {Preset("linear-llama3-1b"),
                                   Preset("linear-llama3-1b-hybrid")};
  for (LinearMixer mixer :
       {LinearMixer::kRetention, LinearMixer::kSimpleGla, LinearMixer::kGla,
        LinearMixer::kDeltaNet, LinearMixer::kMamba2}) {
    ModelSpec model;
    model.linear.mixer = mixer;
    models.push_back(ResolveDefaults(model));
  }
  return models;
}

int64_t ScratchBytes(const ModelSpec& model, const CommunicationShape& shape) {
  const int ranks = static_cast<int>(shape.ranges.size());
  if (shape.method == SequenceParallel::kMegatronSp) {
    return 2 * shape.ranges.back().end * model.hidden_size * 2;
  }
  if (shape.method == SequenceParallel::kRingLeft) {
    return LeftRingScratchBytes(
        {1, shape.ranges, model.linear.heads, model.linear.key_heads,
         FormOf(model.linear), 2},
        /*forward=*/false);
  }
  if (!HeadsTravel(shape.method)) {
    const LinearAttentionSpec& linear = model.linear;
    const int64_t states =
        4 * StateExchangeScratch(shape.method, StateShapeOf(linear, 1), ranks,
                                 true);
    if (!RowsTravel(shape.method)) return states;
    return states + RowParcelBytes(shape.ranges, 1,
                                   SummaryRows(FormOf(linear), linear.heads,
                                               linear.key_heads, false),
                                   2);
  }
  const HeadExchangeShape heads = {1, shape.ranges, model.linear.heads,
                                   model.linear.key_heads, 2};
  int64_t bytes = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    bytes = std::max(
        bytes,
        HeadScratchBytes(heads, HeadTrafficOf(FormOf(model.linear)), rank));
  }
  return bytes;
}

TEST(TrafficTest, MethodsAreThePlannersBytesAndCalls) {
  for (const ModelSpec& model : Models()) {
    for (ExchangeMethod method : AllExchangeMethods()) {
      const int ranks = 8;
      // mamba2's norm, and decays that are no number for each head.
      if (!CheckMethod(method, model, ranks).ok()) continue;
      const MethodCost cost = CostOf(model, method, 1000, ranks);
      CommunicationShape shape;
      shape.ranges = SplitTokens(1000, ranks).value();
      shape.element_bytes = 2;
      shape.method = PlannedMethod(method);
      if (method == ExchangeMethod::kMegatronSp) {
        shape.softmax_method = SoftmaxParallel::kMegatronSp;
      }
      if (IsRing(method)) shape.softmax_method = SoftmaxParallel::kRing;
      int64_t forward = 0, backward = 0, calls = 0, gradients = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        int64_t sent[3] = {}, launches = 0;
        for (const PlannedTransfer& t : PlanCommunication(model, shape, rank)) {
          sent[static_cast<int>(t.direction)] += t.bytes_sent;
          if (t.direction == TransferDirection::kForward) {
            launches += t.launches;
          }
        }
        forward = std::max(forward, sent[0]);
        backward = std::max(backward, sent[1]);
        gradients = std::max(gradients, sent[2]);
        calls = std::max(calls, launches);
      }
      EXPECT_EQ(cost.forward_bytes, forward) << ExchangeMethodName(method);
      EXPECT_EQ(cost.backward_bytes, backward) << ExchangeMethodName(method);
      EXPECT_EQ(cost.gradient_bytes, gradients) << ExchangeMethodName(method);
      EXPECT_EQ(cost.forward_calls, calls) << ExchangeMethodName(method);
      EXPECT_EQ(cost.buffer_bytes, ScratchBytes(model, shape))
          << ExchangeMethodName(method);
    }
  }
}

// States as bf16 are half the bytes both ways, and decays stay; splits are the
// same bytes in more calls. Other methods know neither.
TEST(TrafficTest, GathersOfLasp2MayBeNarrowOrSplit) {
  ModelSpec model;
  model.linear.mixer = LinearMixer::kGla;
  model.layer_pattern = "L";
  model = ResolveDefaults(model);
  const auto cost = [&](ExchangeMethod method, const GatherSettings& gather) {
    SimulationShape shape;
    shape.tokens = 4096;
    shape.ranks = 8;
    shape.state_gather = gather;
    return Simulate(model, shape, kSampleNetwork, kSampleCompute, method)
        .value();
  };
  const GatherSettings settings = {.bf16 = true, .splits = 4};
  const MethodCost wide = cost(ExchangeMethod::kLasp2, {});
  const MethodCost narrow = cost(ExchangeMethod::kLasp2, settings);
  const StateExchangeShape state = StateShapeOf(model.linear, 1);
  const int64_t saved = model.layer_count * 7 * 4 * state.state / 2;
  EXPECT_EQ(wide.forward_bytes - narrow.forward_bytes, saved);
  EXPECT_EQ(wide.backward_bytes - narrow.backward_bytes, saved);
  EXPECT_EQ(narrow.forward_calls - wide.forward_calls, 3 * model.layer_count);
  EXPECT_LT(narrow.buffer_bytes, wide.buffer_bytes);
  EXPECT_EQ(cost(ExchangeMethod::kLasp1, settings).forward_bytes,
            cost(ExchangeMethod::kLasp1, {}).forward_bytes);
}

// 16 heads over 12 ranks, two of them on the first four: the largest rank's.
TEST(TrafficTest, UnevenHeadsCountTheBusiestRank) {
  const ModelSpec model = Preset("linear-llama3-1b");
  const MethodCost cost = CostOf(model, ExchangeMethod::kUlysses, 12 * 64, 12);
  // q, k, v of 64 rows of 14 heads out and of 11 * 64 rows of 2 heads' o back,
  // or of 15 and 1.
  const int64_t head = 128 * 2;
  EXPECT_EQ(cost.forward_bytes,
            16 * head * 64 * std::max(3 * 14 + 11 * 2, 3 * 15 + 11));
  RunShape run;
  run.mode = RunMode::kTrain;
  run.ranges = SplitTokens(12 * 64, 12).value();
  run.element_bytes = 2;
  run.backend = kernels::BackendKind::kCuda;
  run.method = SequenceParallel::kUlysses;
  int64_t largest = 0;
  for (run.rank = 0; run.rank < 12; ++run.rank) {
    largest = std::max(largest, PlanMemory(model, run).total_bytes());
  }
  EXPECT_EQ(cost.memory_bytes, largest);
}

// The size example of the reference: S = 1.05 MB in fp32; 64 ranks receive
// 66 MB per layer and direction into a buffer of 67 MB; 16 layers both ways
// 2.1 GB per step.
TEST(TrafficTest, TheExampleOfLinearLlama3) {
  const ModelSpec model = Preset("linear-llama3-1b");
  const int64_t state = 16 * 128 * 128 * 4;
  EXPECT_EQ(state, 1048576);
  const MethodCost cost = CostOf(model, ExchangeMethod::kLasp2, 1 << 20, 64);
  EXPECT_EQ(cost.forward_bytes, 16 * 63 * state);
  EXPECT_EQ(cost.forward_bytes / 16, 66060288);
  EXPECT_EQ(cost.buffer_bytes, 67108864);
  EXPECT_EQ(cost.forward_bytes + cost.backward_bytes, 2113929216);
}

// Per layer, of whole sequences: 2 B n H_kv d_h e a hop and so on.
TEST(TrafficTest, TokensAreSectionThree) {
  const ModelSpec model = Preset("linear-llama3-1b");
  const int64_t n = (1 << 20) / 16, hidden = 2048, w = 16;
  const MethodCost ring = CostOf(model, ExchangeMethod::kRing, n * w, w);
  EXPECT_EQ(ring.forward_bytes, 16 * (w - 1) * 2 * n * hidden * 2);
  EXPECT_EQ(ring.backward_bytes, ring.forward_bytes);
  EXPECT_EQ(ring.forward_calls, 16 * (w - 1));
  EXPECT_EQ(ring.backward_calls, ring.forward_calls);
  const MethodCost left = CostOf(model, ExchangeMethod::kRingLeft, n * w, w);
  EXPECT_EQ(left.forward_bytes, ring.forward_bytes);
  EXPECT_EQ(left.backward_bytes, 16 * (w + 1) * 2 * n * hidden * 2);
  EXPECT_EQ(left.forward_calls, 16 * (w - 1));
  EXPECT_EQ(left.backward_calls, 16 * (w + 1));
  // Two shards of k and v, v, dO and dV of a range, scores.
  EXPECT_EQ(left.buffer_bytes, (2 * 2 + 3) * n * hidden * 2 + 128 * n * 2);
  const MethodCost ulysses = CostOf(model, ExchangeMethod::kUlysses, n * w, w);
  EXPECT_EQ(ulysses.forward_bytes, 16 * (w - 1) * n * 4 * hidden * 2 / w);
  EXPECT_EQ(ulysses.backward_bytes, ulysses.forward_bytes);
  const MethodCost megatron =
      CostOf(model, ExchangeMethod::kMegatronSp, n * w, w);
  EXPECT_EQ(megatron.forward_bytes, 16 * 2 * (w - 1) * n * hidden * 2);
  EXPECT_EQ(megatron.backward_bytes, 16 * 3 * (w - 1) * n * hidden * 2);
}

// Workers' softmax layers send less than shards that go all round would be:
// section 3's ring is the bound, which the busiest rank reaches forward.
TEST(TrafficTest, TheRingOfKeysIsThePlanners) {
  ModelSpec model = Preset("linear-llama3-1b-hybrid");
  model.softmax.key_heads = 4;
  CommunicationShape shape;
  shape.ranges = SplitTokens(1024, 8).value();
  shape.element_bytes = 2;
  shape.softmax_method = SoftmaxParallel::kRing;
  const int64_t shard = 128 * 2 * 4 * 128;  // numbers
  const int64_t round[2] = {7 * shard * 2, 7 * shard * 2 + 8 * shard * 4};
  const int64_t calls[2] = {7, 15};
  const int busiest = 6;  // all shards but the last come by
  for (int rank = 0; rank < 8; ++rank) {
    int passes = 0;
    for (const PlannedTransfer& t : PlanCommunication(model, shape, rank)) {
      if (t.kind != TransferKind::kKeyValueExchange) continue;
      const int pass = t.direction == TransferDirection::kForward ? 0 : 1;
      EXPECT_LE(t.bytes_sent, round[pass]);
      EXPECT_LE(t.launches, calls[pass]);
      if (rank == busiest) {
        EXPECT_EQ(t.launches, calls[pass]);
      }
      if (rank == busiest && pass == 0) {
        EXPECT_EQ(t.bytes_sent, round[pass]);
      }
      ++passes;
    }
    EXPECT_EQ(passes, 2 * 4);  // forward and backward of the LLLN's N
  }
}

// Who sends less, section 3: lasp2 than ring from n > d_h (fp32 states, bf16
// keys), than ulysses from N > W^2 d_h / 2.
TEST(TrafficTest, CrossoversOfBytes) {
  const ModelSpec model = Preset("linear-llama3-1b");
  const auto forward = [&](ExchangeMethod method, int64_t tokens, int ranks) {
    return CostOf(model, method, tokens, ranks).forward_bytes;
  };
  EXPECT_EQ(forward(ExchangeMethod::kLasp2, 16 * 128, 16),
            forward(ExchangeMethod::kRing, 16 * 128, 16));
  for (int ranks : {8, 16}) {
    const int64_t tokens = int64_t{ranks} * ranks * 128 / 2;
    EXPECT_EQ(forward(ExchangeMethod::kLasp2, tokens, ranks),
              forward(ExchangeMethod::kUlysses, tokens, ranks));
  }
}

// Layers of softmax alone: what a ring moves is the planner's.
TEST(TrafficTest, SoftmaxRingsAreThePlanners) {
  ModelSpec model = Preset("linear-llama3-1b-hybrid");
  model.layer_pattern = "N";
  const int64_t width = 2 * 16 * 128;
  const auto ranges = SplitTokens(1000, 8).value();
  for (int64_t window : {0, 200}) {
    model.softmax.window = window;
    const MethodCost cost = CostOf(model, ExchangeMethod::kRing, 1000, 8);
    int64_t forward = 0, backward = 0;
    for (int rank = 0; rank < 8; ++rank) {
      const KvMoves there =
          PlanKvMoves(SoftmaxParallel::kRing, ranges, window, rank, true);
      const KvMoves back =
          PlanKvMoves(SoftmaxParallel::kRing, ranges, window, rank, false);
      forward = std::max(forward, there.sent * 2);
      backward = std::max(backward, back.sent * 2 + back.sums_sent * 4);
    }
    EXPECT_EQ(cost.forward_bytes, 16 * width * forward);
    EXPECT_EQ(cost.backward_bytes, 16 * width * backward);
  }
}

// Of the rank that sends, and of the one that holds most.
TEST(TrafficTest, ZigzagIsThePlanners) {
  for (const ModelSpec& model : Models()) {
    SimulationShape shape;
    shape.tokens = 1000;
    shape.ranks = 8;
    shape.layout = TokenLayout::kZigzag;
    const MethodCost cost = Simulate(model, shape, kSampleNetwork,
                                     kSampleCompute, ExchangeMethod::kLasp2)
                                .value();
    CommunicationShape planned;
    planned.ranges = CutTokens(TokenLayout::kZigzag, 1000, 8).value();
    planned.element_bytes = 2;
    planned.layout = TokenLayout::kZigzag;
    RunShape run;
    run.ranges = planned.ranges;
    run.element_bytes = 2;
    run.backend = kernels::BackendKind::kCuda;
    run.layout = TokenLayout::kZigzag;
    int64_t sent[3] = {}, memory = 0;
    for (run.rank = 0; run.rank < 8; ++run.rank) {
      int64_t of_rank[3] = {};
      for (const PlannedTransfer& t :
           PlanCommunication(model, planned, run.rank)) {
        of_rank[static_cast<int>(t.direction)] += t.bytes_sent;
      }
      for (int i = 0; i < 3; ++i) sent[i] = std::max(sent[i], of_rank[i]);
      memory = std::max(memory, PlanMemory(model, run).total_bytes());
    }
    EXPECT_EQ(cost.forward_bytes, sent[0]);
    EXPECT_EQ(cost.backward_bytes, sent[1]);
    EXPECT_EQ(cost.gradient_bytes, sent[2]);
    EXPECT_EQ(cost.memory_bytes, memory);
  }
}

TEST(TrafficTest, RefusalsNameValueLimitAndFix) {
  SimulationShape shape;
  shape.tokens = 1 << 20;
  shape.ranks = 64;
  const auto error = [&](const ModelSpec& model, ExchangeMethod method) {
    return std::string(
        Simulate(model, shape, kSampleNetwork, kSampleCompute, method)
            .status()
            .message());
  };
  const ModelSpec basic = Preset("linear-llama3-1b");
  EXPECT_THAT(error(basic, ExchangeMethod::kUlysses),
              HasSubstr("64 ranks are more than the 16 heads of the linear "
                        "layers: use 16 ranks or fewer"));
  EXPECT_THAT(error(basic, ExchangeMethod::kMegatronSp), HasSubstr("16 heads"));
  ModelSpec delta;
  delta.linear.mixer = LinearMixer::kDeltaNet;
  delta = ResolveDefaults(delta);
  EXPECT_THAT(error(delta, ExchangeMethod::kRingLeft),
              HasSubstr("deltanet has the delta rule"));
  ModelSpec channels;
  channels.linear.mixer = LinearMixer::kGla;
  channels = ResolveDefaults(channels);
  EXPECT_THAT(error(channels, ExchangeMethod::kRingLeft),
              HasSubstr("gla has one for every channel"));
  shape.tokens = 63;
  EXPECT_THAT(error(basic, ExchangeMethod::kLasp2), HasSubstr("63"));
}

TEST(TrafficTest, MethodsHaveNames) {
  for (ExchangeMethod method : AllExchangeMethods()) {
    EXPECT_EQ(
        ExchangeMethodOfName(std::string(ExchangeMethodName(method))).value(),
        method);
  }
  EXPECT_THAT(std::string(ExchangeMethodOfName("lasp3").status().message()),
              HasSubstr("did you mean"));
}

}  // namespace
}  // namespace longspan
