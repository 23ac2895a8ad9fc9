// Softmax layers compute what one rank computes, whatever their method, and are
// seen to have done what was asked for.
#include <algorithm>
#include <string>
#include <tuple>

#include "common/base/status_macros.h"
#include "common/model_spec/kv_exchange_plan.h"
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

// With a head for each of eight ranks.
std::vector<NamedSpec> SoftmaxSpecs() {
  std::vector<NamedSpec> specs;
  for (const NamedSpec& named : AllSmallSpecs()) {
    if (named.name == "softmax" || named.name == "window_hybrid" ||
        named.name == "hybrid") {
      specs.push_back(named);
    }
  }
  ModelSpec wide = SmallSpec(LinearMixer::kGatedDeltaNet, "LN");
  wide.softmax.window = 40;
  wide.softmax.key_heads = 1;
  specs.push_back({"wide_window_one_key_head", wide});
  ModelSpec alone = SmallSpec(LinearMixer::kBasic, "N");
  alone.softmax.window = 1;
  specs.push_back({"window_of_the_token_itself", alone});
  ModelSpec ungrouped = SmallSpec(LinearMixer::kBasic, "N");
  ungrouped.softmax.key_heads = 8;
  specs.push_back({"a_key_for_every_head", ungrouped});
  for (NamedSpec& named : specs) named.spec.softmax.heads = 8;
  // Slices of two heads of keys, and of one.
  ModelSpec uneven = SmallSpec(LinearMixer::kBasic, "N");
  uneven.softmax.heads = 10;
  uneven.softmax.key_heads = 5;
  specs.push_back({"five_keys_for_ten_heads", uneven});
  return specs;
}

GangResult TrainWith(SoftmaxParallel method, GangCase c, int ranks) {
  c.softmax_method = method;
  return TrainOnce(c, ranks);
}

GangResult OnRing(const GangCase& c, int ranks) {
  return TrainWith(SoftmaxParallel::kRing, c, ranks);
}

using Param = std::tuple<SoftmaxParallel, NamedSpec>;

class SoftmaxMethodsTest : public ::testing::TestWithParam<Param> {
 protected:
  static const ModelSpec& spec() { return std::get<1>(GetParam()).spec; }
  static GangResult Train(const GangCase& c, int ranks) {
    return TrainWith(std::get<0>(GetParam()), c, ranks);
  }
};

TEST_P(SoftmaxMethodsTest, AnyNumberOfRanks) {
  const GangCase c = MakeGangCase(spec(), 1, 71);
  const GangResult one = TrainOnce(c, 1);
  for (int ranks : {1, 2, 3, 4, 7, 8}) {
    SCOPED_TRACE(ranks);
    ExpectSame(Train(c, ranks), one, 1e-10);
  }
}

// A gang of batches, with every method of the linear layers.
TEST_P(SoftmaxMethodsTest, BatchesBesideAnyMethod) {
  GangCase c = MakeGangCase(spec(), 3, 29);
  const GangResult one = TrainOnce(c, 1);
  for (SequenceParallel method :
       {SequenceParallel::kLasp2, SequenceParallel::kLasp1,
        SequenceParallel::kAllScan, SequenceParallel::kScan}) {
    SCOPED_TRACE(SequenceParallelName(method));
    c.method = method;
    for (int ranks : {2, 4}) ExpectSame(Train(c, ranks), one, 1e-10);
  }
}

// Ranges down to one token, the longest first, last and between.
TEST_P(SoftmaxMethodsTest, UnequalRanges) {
  GangCase c = MakeGangCase(spec(), 2, 19);
  const GangResult one = TrainOnce(c, 1);
  for (const std::vector<TokenRange>& ranges :
       std::vector<std::vector<TokenRange>>{
           {{0, 1}, {1, 2}, {2, 3}, {3, 19}},
           {{0, 15}, {15, 16}, {16, 18}, {18, 19}},
           {{0, 2}, {2, 14}, {14, 15}, {15, 16}, {16, 17}, {17, 18}, {18, 19}},
           {{0, 1}, {1, 19}}}) {
    SCOPED_TRACE(ranges.size());
    c.ranges = ranges;
    ExpectSame(Train(c, static_cast<int>(ranges.size())), one, 1e-10);
  }
}

// Borders at, before and after the cuts (3 ranks: 24, 48), documents that span
// ranks, and shards of which no query sees anything.
TEST_P(SoftmaxMethodsTest, PackedDocuments) {
  GangCase c = MakeGangCase(spec(), 1, 72);
  for (const std::vector<int64_t>& starts :
       std::vector<std::vector<int64_t>>{{0, 24, 48},
                                         {0, 23, 25, 47, 49},
                                         {10, 70},
                                         {22},
                                         {0, 1, 2, 3, 22, 23, 24, 71}}) {
    SCOPED_TRACE(::testing::PrintToString(starts));
    c.document_starts = starts;
    const GangResult one = TrainOnce(c, 1);
    for (int ranks : {3, 7}) {
      SCOPED_TRACE(ranks);
      ExpectSame(Train(c, ranks), one, 1e-10);
    }
  }
}

TEST_P(SoftmaxMethodsTest, SinglePrecision) {
  GangCase c = MakeGangCase(spec(), 1, 150);
  c.dtype = kernels::DType::kF32;
  const GangResult one = TrainOnce(c, 1);
  for (int ranks : {2, 3, 8}) {
    SCOPED_TRACE(ranks);
    ExpectSame(Train(c, ranks), one, 1e-5);
  }
}

TEST_P(SoftmaxMethodsTest, ReferenceBackend) {
  GangCase c = MakeGangCase(spec(), 1, 71);
  const GangResult cpu = TrainOnce(c, 1);
  c.backend = kernels::BackendKind::kReference;
  ExpectSame(Train(c, 3), cpu, 1e-10);
}

TEST_P(SoftmaxMethodsTest, SameBitsTwice) {
  const GangCase c = MakeGangCase(spec(), 1, 71);
  const GangResult a = Train(c, 3);
  const GangResult b = Train(c, 3);
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(a.gradients, b.gradients);
}

// Changing a token changes no bit before it, and something at it.
TEST_P(SoftmaxMethodsTest, NoTokenSeesTheFuture) {
  const GangCase c = MakeGangCase(spec(), 1, 23);
  const int64_t width = c.spec.hidden_size;
  const GangResult before = Train(c, 4);
  for (int64_t token : {0, 5, 6, 11, 12, 17, 22}) {  // cuts at 6, 12, 18
    SCOPED_TRACE(token);
    GangCase changed = c;
    changed.ids[token] =
        (changed.ids[token] + 1) % static_cast<int32_t>(c.spec.vocabulary_size);
    const GangResult after = Train(changed, 4);
    const auto differ = std::mismatch(before.hidden.begin(),
                                      before.hidden.end(), after.hidden.begin())
                            .first -
                        before.hidden.begin();
    EXPECT_EQ(differ / width, token);
  }
}

// The gradient of each token at a border, compared alone: a wrong border does
// not hide behind the largest gradient of the sequence.
TEST_P(SoftmaxMethodsTest, GradientsOfBorderTokens) {
  GangCase c = MakeGangCase(spec(), 1, 71);
  for (int32_t& target : c.targets) target = std::max(target, 0);
  const int64_t width = c.spec.hidden_size;
  const GangResult one = TrainOnce(c, 1);
  for (int ranks : {4, 7}) {
    const GangResult gang = Train(c, ranks);
    for (const TokenRange& range : RangesOf(c, ranks)) {
      for (int64_t token : {range.begin, range.end - 1}) {
        const auto row = [&](const GangResult& result) {
          const auto begin = result.d_embedding.begin() + token * width;
          return std::vector<double>(begin, begin + width);
        };
        EXPECT_LE(Distance(row(gang), row(one)), 1e-9) << token;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Specs, SoftmaxMethodsTest,
    ::testing::Combine(::testing::Values(SoftmaxParallel::kGather,
                                         SoftmaxParallel::kRing,
                                         SoftmaxParallel::kUlysses),
                       ::testing::ValuesIn(SoftmaxSpecs())),
    [](const auto& info) {
      return std::string(SoftmaxParallelName(std::get<0>(info.param))) + "_" +
             std::get<1>(info.param).name;
    });

worker::TransferCounts CountsOf(const GangResult& result, int rank,
                                Direction direction, int layer,
                                Traffic traffic = Traffic::kKvExchange) {
  const auto& counters = result.ranks[rank].counters;
  const auto found = counters.find({traffic, direction, layer});
  return found == counters.end() ? worker::TransferCounts() : found->second;
}

// Each layer ran the method that was asked for, told by its messages.
TEST(SoftmaxRingTest, TheMessagesOfEachLayerAreTheMethods) {
  const int ranks = 4;
  GangCase c = MakeGangCase(SmallSpec(LinearMixer::kBasic, "LNN"), 1, 40);
  const int64_t shard = 10 * 2 * 2 * 4 * 8;  // tokens, K and V, Hkv, D, bytes
  const GangResult gather = TrainOnce(c, ranks);
  const GangResult ring = OnRing(c, ranks);
  // Shards that this rank sends on; those behind it do not come here.
  const int shards[] = {1, 2, 3, 0};
  const int back[] = {3, 5, 7, 7};  // launches, sums and their way home too
  for (int rank = 0; rank < ranks; ++rank) {
    for (int layer : {1, 2}) {
      const auto forward = CountsOf(ring, rank, Direction::kForward, layer);
      EXPECT_EQ(forward.launches, std::min(rank + 1, ranks - 1));
      EXPECT_EQ(forward.bytes_sent, shards[rank] * shard);
      const auto backward = CountsOf(ring, rank, Direction::kBackward, layer);
      EXPECT_EQ(backward.launches, back[rank]);
      const int home = rank == ranks - 1 ? ranks - 1 : 0;
      EXPECT_EQ(backward.bytes_sent, (2 * shards[rank] + home) * shard);
      for (Direction direction : {Direction::kForward, Direction::kBackward}) {
        // A call for each of the two heads of keys.
        const auto gathered = CountsOf(gather, rank, direction, layer);
        EXPECT_EQ(gathered.launches, 2);
        EXPECT_EQ(gathered.bytes_sent, (ranks - 1) * shard);
      }
    }
    EXPECT_EQ(CountsOf(ring, rank, Direction::kForward, 0).launches, 0);
  }
}

// Reference page, section 3: (W - 1) / W B n (2 H + 2 Hkv) d_h numbers, in two
// messages, either way.
TEST(SoftmaxUlyssesTest, TheMessagesOfEachLayerAreTheMethods) {
  const int ranks = 4;
  ModelSpec spec = SmallSpec(LinearMixer::kBasic, "LNN");
  spec.softmax.heads = 8;
  spec.softmax.key_heads = 4;
  const GangResult heads =
      TrainWith(SoftmaxParallel::kUlysses, MakeGangCase(spec, 1, 40), ranks);
  const int64_t all = 10 * (2 * 8 + 2 * 4) * 4 * 8;  // n, heads, D, bytes
  for (int rank = 0; rank < ranks; ++rank) {
    for (Direction direction : {Direction::kForward, Direction::kBackward}) {
      for (int layer : {1, 2}) {
        const auto count =
            CountsOf(heads, rank, direction, layer, Traffic::kHeadExchange);
        EXPECT_EQ(count.launches, 2);
        EXPECT_EQ(count.bytes_sent, all * (ranks - 1) / ranks);
        EXPECT_EQ(CountsOf(heads, rank, direction, layer).launches, 0);
      }
      EXPECT_EQ(
          CountsOf(heads, rank, direction, 0, Traffic::kHeadExchange).launches,
          0);
    }
  }
}

// A window fetches only what it sees: one token before the range here.
TEST(SoftmaxRingTest, AWindowStopsTheRing) {
  ModelSpec spec = SmallSpec(LinearMixer::kBasic, "N");
  spec.softmax.window = 2;
  const GangResult ring = OnRing(MakeGangCase(spec, 1, 40), 4);
  const int64_t shard = 10 * 2 * 2 * 4 * 8;
  for (int rank = 0; rank < 4; ++rank) {
    const auto forward = CountsOf(ring, rank, Direction::kForward, 0);
    EXPECT_EQ(forward.bytes_sent, rank == 3 ? 0 : shard);
    EXPECT_EQ(forward.bytes_received, rank == 0 ? 0 : shard);
  }
}

// Validation refuses such jobs; a worker that gets one does not compute.
absl::Status ForwardWithAState(SoftmaxParallel method) {
  GangCase c = MakeGangCase(SmallSpec(LinearMixer::kBasic, "N"), 1, 12);
  c.softmax_method = method;
  const auto ranges = RangesOf(c, 2);
  return RunThreadWorld(2, [&](worker::ProcessGroup& group) -> absl::Status {
    RankFixture rank(c, &group, 1 << 20, false);
    ASSIGN_OR_RETURN(auto state, worker::ModelState::Create(
                                     rank.context(), c.spec, {1, 12, 12}));
    ASSIGN_OR_RETURN(const auto shard,
                     worker::SequenceShard::Create({.tokens = c.tokens}, ranges,
                                                   group.rank()));
    std::vector<int32_t> ids = LocalRows(c.ids, shard);
    const kernels::TensorView rows(ids.data(), kernels::DType::kI32,
                                   {shard.rows()});
    return rank.model()
        .Forward(rank.context(), {rows, &shard}, state.get())
        .status();
  });
}

TEST(SoftmaxMethodsTest, AStateIsRefused) {
  for (SoftmaxParallel method :
       {SoftmaxParallel::kRing, SoftmaxParallel::kUlysses}) {
    const absl::Status status = ForwardWithAState(method);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()),
                ::testing::HasSubstr("softmax_sequence_parallel " +
                                     std::string(SoftmaxParallelName(method))));
  }
}

// No rank holds the keys of the others: twice the tokens on twice the ranks
// take the same memory.
TEST(SoftmaxRingTest, MemoryDoesNotGrowWithTheGang) {
  const ModelSpec spec = SmallSpec(LinearMixer::kBasic, "NN");
  const auto peak = [&](int ranks) {
    const GangResult result = OnRing(MakeGangCase(spec, 1, 32 * ranks), ranks);
    return result.ranks[0].arena_high_water;
  };
  EXPECT_EQ(peak(3), peak(6));
}

}  // namespace
}  // namespace longspan::testing
