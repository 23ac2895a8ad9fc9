// megatron_sp: layers whose heads the ranks share compute what one rank
// computes, and are seen to have gathered and scattered rows.
#include <algorithm>
#include <string>

#include "common/base/status_macros.h"
#include "common/model_spec/head_slices.h"
#include "common/model_spec/linear_layer_form.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/thread_world.h"
#include "tests/worker/model/gang_distance.h"
#include "tests/worker/model/test_specs.h"
#include "worker/model/model_state.h"

namespace longspan::testing {
namespace {

using worker::Direction;
using worker::Traffic;

constexpr int64_t kHeads = 8;

// Every mixer but those whose norm takes all heads together.
std::vector<NamedSpec> CutSpecs() {
  std::vector<NamedSpec> specs;
  for (NamedSpec named : AllSmallSpecs()) {
    const OutputStage output = FormOf(named.spec.linear).output;
    if (output == OutputStage::kWholeNorm) continue;
    named.spec = WithEightHeads(named.spec);
    named.spec.softmax.heads = kHeads;
    if (output == OutputStage::kGatedThenNorm) {
      named.spec.linear.key_heads = kHeads;
    }
    specs.push_back(named);
  }
  return specs;
}

GangCase CutCase(const ModelSpec& spec, int64_t batch, int64_t tokens) {
  GangCase c = MakeGangCase(spec, batch, tokens);
  c.method = SequenceParallel::kMegatronSp;
  c.softmax_method = SoftmaxParallel::kMegatronSp;
  return c;
}

class HeadParallelTest : public ::testing::TestWithParam<NamedSpec> {};

TEST_P(HeadParallelTest, AnyNumberOfRanks) {
  const GangCase c = CutCase(GetParam().spec, 1, 71);
  const GangResult one = TrainOnce(c, 1);
  ASSERT_GT(Scale(one.d_embedding), 0);
  for (int ranks : {2, 3, 4, 7, 8}) {
    SCOPED_TRACE(ranks);
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
  }
}

TEST_P(HeadParallelTest, BatchesAndPackedDocuments) {
  const GangCase batch = CutCase(GetParam().spec, 3, 29);
  ExpectSame(TrainOnce(batch, 4), TrainOnce(batch, 1), 1e-10);
  GangCase packed = CutCase(GetParam().spec, 1, 71);
  packed.document_starts = {0, 23, 25, 47, 49};
  ExpectSame(TrainOnce(packed, 3), TrainOnce(packed, 1), 1e-10);
}

TEST_P(HeadParallelTest, UnequalRanges) {
  GangCase c = CutCase(GetParam().spec, 2, 19);
  const GangResult one = TrainOnce(c, 1);
  for (const std::vector<TokenRange>& ranges :
       std::vector<std::vector<TokenRange>>{{{0, 1}, {1, 18}, {18, 19}},
                                            {{0, 2},
                                             {2, 14},
                                             {14, 15},
                                             {15, 16},
                                             {16, 17},
                                             {17, 18},
                                             {18, 19}}}) {
    SCOPED_TRACE(ranges.size());
    c.ranges = ranges;
    ExpectSame(TrainOnce(c, static_cast<int>(ranges.size())), one, 1e-10);
  }
}

TEST_P(HeadParallelTest, SinglePrecision) {
  GangCase c = CutCase(GetParam().spec, 1, 150);
  c.dtype = kernels::DType::kF32;
  ExpectSame(TrainOnce(c, 3), TrainOnce(c, 1), SingleTolerance(c));
}

TEST_P(HeadParallelTest, SameBitsTwice) {
  const GangCase c = CutCase(GetParam().spec, 1, 41);
  const GangResult a = TrainOnce(c, 3);
  const GangResult b = TrainOnce(c, 3);
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(a.gradients, b.gradients);
}

// Changing a token changes no bit before it, and something at it.
TEST_P(HeadParallelTest, NoTokenSeesTheFuture) {
  GangCase c = CutCase(GetParam().spec, 1, 23);
  const std::vector<double> before = TrainOnce(c, 4).hidden;
  for (int64_t token : {5, 6, 17}) {  // cuts at 6, 12, 18
    SCOPED_TRACE(token);
    GangCase changed = c;
    changed.ids[token] = (changed.ids[token] + 1) % 19;
    const std::vector<double> after = TrainOnce(changed, 4).hidden;
    const auto differ =
        std::mismatch(before.begin(), before.end(), after.begin()).first;
    EXPECT_EQ((differ - before.begin()) / c.spec.hidden_size, token);
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, HeadParallelTest,
                         ::testing::ValuesIn(CutSpecs()),
                         [](const auto& info) { return info.param.name; });

ModelSpec Hybrid() {
  ModelSpec spec = WithEightHeads(SmallSpec(LinearMixer::kSimpleGla, "LN"));
  spec.softmax.heads = kHeads;
  return spec;
}

// One kind of layer is cut, the other exchanges what it always does.
TEST(HeadParallelTest, BesideOtherMethods) {
  GangCase c = MakeGangCase(Hybrid(), 1, 71);
  const GangResult one = TrainOnce(c, 1);
  for (SequenceParallel method :
       {SequenceParallel::kLasp2, SequenceParallel::kAllScan,
        SequenceParallel::kUlysses}) {
    c.method = method;
    c.softmax_method = SoftmaxParallel::kMegatronSp;
    ExpectSame(TrainOnce(c, 4), one, 1e-10);
  }
  for (SoftmaxParallel method :
       {SoftmaxParallel::kGather, SoftmaxParallel::kRing,
        SoftmaxParallel::kUlysses}) {
    c.method = SequenceParallel::kMegatronSp;
    c.softmax_method = method;
    ExpectSame(TrainOnce(c, 4), one, 1e-10);
  }
}

// Reference page, section 3: 2 (W - 1) / W B N d e forward in 2 calls, 3 of
// those backward in 3, and no states, halos or keys.
TEST(HeadParallelTest, TheMessagesOfEachLayerAreTheMethods) {
  const int ranks = 4;
  const GangResult result = TrainOnce(CutCase(Hybrid(), 2, 40), ranks);
  const int64_t rows = 2 * 40 * 12 * 8 * (ranks - 1) / ranks;
  for (int rank = 0; rank < ranks; ++rank) {
    for (const auto& [tag, counts] : result.ranks[rank].counters) {
      if (tag.layer < 0) continue;
      const int64_t calls = tag.direction == Direction::kForward ? 2 : 3;
      EXPECT_EQ(tag.traffic, Traffic::kHeadExchange);
      EXPECT_EQ(counts.launches, calls);
      EXPECT_EQ(counts.bytes_sent, calls * rows);
      EXPECT_EQ(counts.bytes_received, calls * rows);
    }
  }
}

// Validation refuses such jobs; a worker that gets one does not compute.
TEST(HeadParallelTest, AStateIsRefused) {
  const GangCase c = CutCase(Hybrid(), 1, 12);
  const auto ranges = RangesOf(c, 2);
  const absl::Status status =
      RunThreadWorld(2, [&](worker::ProcessGroup& group) -> absl::Status {
        RankFixture rank(c, &group, 1 << 20, false);
        ASSIGN_OR_RETURN(auto state, worker::ModelState::Create(
                                         rank.context(), c.spec, {1, 12, 12}));
        ASSIGN_OR_RETURN(const auto shard,
                         worker::SequenceShard::Create({.tokens = c.tokens},
                                                       ranges, group.rank()));
        std::vector<int32_t> ids = LocalRows(c.ids, shard);
        const kernels::TensorView rows(ids.data(), kernels::DType::kI32,
                                       {shard.rows()});
        return rank.model()
            .Forward(rank.context(), {rows, &shard}, state.get())
            .status();
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("megatron_sp with a state"));
}

}  // namespace
}  // namespace longspan::testing
