// What the planner predicts is what happens: bytes per layer and direction as
// the transport counted them, buffers by name as the arena handed them out.
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/memory_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/thread_world.h"
#include "tests/support/transfer_lines.h"
#include "tests/worker/model/test_specs.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/model/model_state.h"

namespace longspan::testing {
namespace {

struct Gang {
  int64_t tokens;
  int ranks;
  int64_t batch;
  SequenceParallel method = SequenceParallel::kLasp2;
  SoftmaxParallel softmax_method = SoftmaxParallel::kGather;
  TokenLayout layout = TokenLayout::kContiguous;
};

constexpr SoftmaxParallel kRing = SoftmaxParallel::kRing;
constexpr SoftmaxParallel kHeads = SoftmaxParallel::kUlysses;
constexpr SequenceParallel kCut = SequenceParallel::kMegatronSp;
constexpr SequenceParallel kLeft = SequenceParallel::kRingLeft;
constexpr SoftmaxParallel kCutHeads = SoftmaxParallel::kMegatronSp;

Gang Zigzag(int64_t tokens, int ranks, int64_t batch) {
  return {tokens,
          ranks,
          batch,
          SequenceParallel::kLasp2,
          SoftmaxParallel::kGather,
          TokenLayout::kZigzag};
}

class PlanTest : public ::testing::TestWithParam<NamedSpec> {
 protected:
  // With a head for every rank where they need one.
  static ModelSpec SpecOf(const Gang& gang) {
    ModelSpec spec = SharesHeads(gang.method) ? WithEightHeads(GetParam().spec)
                                              : GetParam().spec;
    if (gang.method == kCut && spec.linear.mixer == LinearMixer::kMamba2) {
      spec.linear.key_heads = 8;
    }
    if (gang.softmax_method == kHeads || gang.softmax_method == kCutHeads) {
      spec.softmax.heads = 8;
    }
    return spec;
  }

  // None where the layer's norm takes all heads together: it cannot be cut;
  // nor where two tokens share more than a number for each head.
  static std::optional<GangCase> CaseOf(const Gang& gang) {
    const ModelSpec spec = SpecOf(gang);
    if (gang.method == kCut &&
        FormOf(spec.linear).output == OutputStage::kWholeNorm) {
      return std::nullopt;
    }
    if (gang.method == kLeft &&
        !CheckLeftProduct(FormOf(spec.linear), "").ok()) {
      return std::nullopt;
    }
    EXPECT_TRUE(CheckHeadCut(spec, gang.method, gang.ranks).ok());
    GangCase c = MakeGangCase(spec, gang.batch, gang.tokens);
    c.method = gang.method;
    c.softmax_method = gang.softmax_method;
    c.layout = gang.layout;
    return c;
  }
};

void ExpectPlannedTransfers(const GangCase& c, const GangResult& result) {
  const int ranks = static_cast<int>(result.ranks.size());
  for (int rank = 0; rank < ranks; ++rank) {
    const CommunicationShape shape = {
        .batch = c.batch,
        .ranges = RangesOf(c, ranks),
        .element_bytes = kernels::BytesPerElement(c.dtype),
        .method = c.method,
        .softmax_method = c.softmax_method,
        .state_gather = c.state_gather,
        .layout = c.layout};
    EXPECT_THAT(Counted(result.ranks[rank].counters),
                ::testing::UnorderedElementsAreArray(
                    Planned(PlanCommunication(c.spec, shape, rank))));
  }
}

TEST_P(PlanTest, BytesMovedAreThePlannedOnes) {
  for (const Gang& gang : {Gang{9, 3, 2},
                           Gang{9, 5, 1},
                           Gang{71, 2, 2},
                           Gang{71, 5, 1},
                           Gang{71, 3, 2, SequenceParallel::kLasp1},
                           Gang{71, 3, 2, SequenceParallel::kAllScan},
                           Gang{71, 5, 1, SequenceParallel::kScan},
                           Gang{71, 5, 2, SequenceParallel::kLasp2, kRing},
                           Gang{9, 8, 1, SequenceParallel::kLasp1, kRing},
                           Gang{71, 3, 2, SequenceParallel::kUlysses},
                           Gang{71, 3, 2, SequenceParallel::kLasp2, kHeads},
                           Gang{9, 8, 1, SequenceParallel::kUlysses, kHeads},
                           Gang{71, 3, 2, kCut, kCutHeads},
                           Gang{9, 8, 1, kCut},
                           Gang{9, 5, 2, SequenceParallel::kLasp2, kCutHeads},
                           Gang{9, 5, 1, SequenceParallel::kUlysses},
                           Gang{71, 5, 2, SequenceParallel::kRing},
                           Gang{9, 8, 1, SequenceParallel::kRing},
                           Gang{71, 5, 2, kLeft},
                           Gang{9, 8, 1, kLeft, kRing},
                           Zigzag(71, 2, 2),
                           Zigzag(71, 5, 1),
                           Zigzag(9, 5, 2),
                           Zigzag(5, 5, 1)}) {
    SCOPED_TRACE(::testing::Message()
                 << gang.tokens << " tokens, " << gang.ranks << " ranks, batch "
                 << gang.batch);
    const std::optional<GangCase> c = CaseOf(gang);
    if (!c) continue;
    ExpectPlannedTransfers(*c, TrainOnce(*c, gang.ranks));
  }
}

// Tape buffers in order, then the scratch of each step as it comes.
std::multiset<std::string> NamesOf(const MemoryPlan& plan) {
  std::multiset<std::string> names;
  const auto add = [&](const std::vector<Buffer>& buffers) {
    for (const Buffer& b : buffers) {
      names.insert(b.name + " " + std::to_string(b.bytes));
    }
  };
  add(plan.step);
  add(plan.head);
  for (const LayerMemory& layer : plan.layers) {
    for (const auto* buffers : {&layer.tape, &layer.mix, &layer.gradients,
                                &layer.mlp_backward, &layer.output_backward,
                                &layer.mix_backward, &layer.project_backward}) {
      add(*buffers);
    }
    for (const auto& buffers : layer.mix_backward_steps) add(buffers);
  }
  return names;
}

void ExpectPlannedBuffers(const GangResult& result) {
  for (const RankReport& rank : result.ranks) {
    EXPECT_EQ(rank.arena_high_water, rank.plan.arena_bytes);
    const std::multiset<std::string> planned = NamesOf(rank.plan);
    std::set<std::string> allocated;
    for (const auto& allocation : rank.allocations) {
      const std::string line =
          allocation.name + " " + std::to_string(allocation.bytes);
      EXPECT_TRUE(planned.contains(line)) << line << " is not planned";
      allocated.insert(line);
    }
    for (const std::string& line : planned) {
      EXPECT_TRUE(allocated.contains(line)) << line << " is not used";
    }
  }
}

TEST_P(PlanTest, TheArenaHandsOutThePlannedBuffers) {
  for (const Gang& gang :
       {Gang{120, 1, 1}, Gang{120, 1, 2}, Gang{120, 3, 1}, Gang{120, 3, 2},
        Gang{120, 3, 2, SequenceParallel::kAllScan},
        Gang{120, 3, 2, SequenceParallel::kScan},
        Gang{120, 2, 1, SequenceParallel::kLasp2, kRing},
        Gang{120, 4, 2, SequenceParallel::kLasp1, kRing},
        Gang{120, 3, 2, SequenceParallel::kUlysses},
        Gang{120, 3, 2, SequenceParallel::kLasp2, kHeads},
        Gang{120, 7, 1, SequenceParallel::kUlysses, kHeads},
        Gang{120, 3, 2, kCut, kCutHeads}, Gang{120, 8, 1, kCut, kCutHeads},
        Gang{121, 3, 2, SequenceParallel::kRing}, Gang{121, 3, 2, kLeft},
        Gang{121, 3, 1, kLeft, kHeads}, Zigzag(120, 3, 1), Zigzag(120, 3, 2),
        Zigzag(9, 5, 2)}) {
    // One block of rows, so that no buffer comes in two sizes.
    const std::optional<GangCase> c = CaseOf(gang);
    if (!c) continue;
    ExpectPlannedBuffers(TrainOnce(*c, gang.ranks));
  }
}

// States that lasp2 gathers as bf16, in several calls.
TEST_P(PlanTest, GathersAreThePlannedOnes) {
  for (const Gang& gang : {Gang{71, 3, 2}, Zigzag(71, 3, 1), Zigzag(4, 3, 1)}) {
    SCOPED_TRACE(gang.tokens);
    GangCase c = MakeGangCase(GetParam().spec, gang.batch, gang.tokens);
    c.dtype = kernels::DType::kF32;
    c.layout = gang.layout;
    c.state_gather = {.bf16 = true, .splits = 3};
    const GangResult result = TrainOnce(c, gang.ranks);
    ExpectPlannedTransfers(c, result);
    ExpectPlannedBuffers(result);
  }
}

TEST_P(PlanTest, ThePeakIsThePlannedOne) {
  for (int ranks : {1, 2}) {
    const GangCase c = MakeGangCase(GetParam().spec, 2, 150);
    for (const RankReport& rank : TrainOnce(c, ranks).ranks) {
      EXPECT_EQ(rank.arena_high_water, rank.plan.arena_bytes);
    }
  }
}

// Forward with a state, as evaluate and generate do it.
TEST_P(PlanTest, AForwardPassTakesItsPlannedPeak) {
  for (const Gang& gang : {Gang{200, 1, 1}, Gang{200, 3, 1},
                           Gang{200, 3, 1, SequenceParallel::kUlysses},
                           Gang{200, 3, 1, SequenceParallel::kRing}}) {
    const int ranks = gang.ranks;
    GangCase c = MakeGangCase(SpecOf(gang), 1, gang.tokens);
    c.method = gang.method;
    const auto ranges = RangesOf(c, ranks);
    const absl::Status status =
        RunThreadWorld(ranks, [&](worker::ProcessGroup& group) -> absl::Status {
          RunShape shape = ShapeOf(c, RunMode::kGenerate, ranges, group.rank());
          shape.carries_state = true;
          shape.context_tokens = 300;
          const MemoryPlan plan = PlanMemory(c.spec, shape);
          RankFixture rank(c, &group, plan.arena_bytes, false);
          ASSIGN_OR_RETURN(auto state,
                           worker::ModelState::Create(rank.context(), c.spec,
                                                      {1, 300, c.tokens}));
          EXPECT_EQ(plan.state_bytes,
                    StateBytes(c.spec, {1, 300, c.tokens}, 8));
          ASSIGN_OR_RETURN(const auto shard,
                           worker::SequenceShard::Create({.tokens = c.tokens},
                                                         ranges, group.rank()));
          std::vector<int32_t> ids = LocalRows(c.ids, shard);
          RETURN_IF_ERROR(rank.model()
                              .Forward(rank.context(),
                                       {kernels::TensorView(
                                            ids.data(), kernels::DType::kI32,
                                            {shard.rows()}),
                                        &shard},
                                       state.get())
                              .status());
          EXPECT_EQ(rank.arena().high_water(), plan.arena_bytes);
          const auto transfers = PlanCommunication(
              c.spec, {1, ranges, 8, false, true, gang.method}, group.rank());
          EXPECT_THAT(Counted(group.counters()),
                      ::testing::UnorderedElementsAreArray(Planned(transfers)));
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, PlanTest, ::testing::ValuesIn(AllSmallSpecs()),
                         [](const auto& info) { return info.param.name; });

TEST(PlanTest, AllReduceBytesAreThoseOfTheGroups) {
  for (int64_t count : {1, 100, 16384, 16385, 100003}) {
    for (int ranks : {1, 2, 3, 4, 7}) {
      for (int rank = 0; rank < ranks; ++rank) {
        EXPECT_EQ(AllReduceBytes(count, 4, rank, ranks),
                  worker::AllReduceBytesSent(count, 4, rank, ranks));
      }
    }
  }
}

}  // namespace
}  // namespace longspan::testing
