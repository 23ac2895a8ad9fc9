// A text in pieces, the state carried, gives what the whole gives; and one
// token at a time gives what a prefill gives.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/thread_world.h"
#include "tests/worker/model/test_specs.h"
#include "worker/model/model_state.h"

namespace longspan::testing {
namespace {

using kernels::DType;
using kernels::TensorView;
using worker::ModelState;
using worker::SequenceShard;

constexpr int64_t kStateTokens = 83;

// Feeds tokens [begin, end) of the case and puts this rank's hidden states
// into `hidden` [N, d].
absl::Status FeedPiece(RankFixture& rank, const worker::RankContext& context,
                       const GangCase& c, int64_t begin, int64_t end,
                       ModelState* state, std::vector<double>& hidden) {
  worker::SequencePiece piece;
  piece.tokens = end - begin;
  piece.first_position = begin;
  for (int64_t start : c.document_starts) {
    if (begin <= start && start < end) {
      piece.document_starts.push_back(start - begin);
    }
  }
  ASSIGN_OR_RETURN(
      const SequenceShard shard,
      SequenceShard::Split(piece, context.ranks(), context.rank()));
  const worker::ArenaScope scratch(rank.arena());
  std::vector<int32_t> ids(c.ids.begin() + begin + shard.range().begin,
                           c.ids.begin() + begin + shard.range().end);
  ASSIGN_OR_RETURN(
      const TensorView out,
      rank.model().Forward(
          context,
          {TensorView(ids.data(), DType::kI32, {shard.rows()}), &shard},
          state));
  const std::vector<double> rows = ToDoubles(out);
  std::copy(
      rows.begin(), rows.end(),
      hidden.begin() + (begin + shard.range().begin) * c.spec.hidden_size);
  return absl::OkStatus();
}

struct Fed {
  std::vector<double> hidden;               // [N, d]
  std::vector<std::vector<double>> states;  // of every rank
};

std::vector<double> StateNumbers(ModelState& state, const ModelSpec& spec) {
  std::vector<double> numbers;
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    const worker::LayerState& s = state.layer(layer);
    for (const TensorView& view : {s.memory, s.conv_tail}) {
      if (view.is_null()) continue;
      const std::vector<double> values = ToDoubles(view);
      numbers.insert(numbers.end(), values.begin(), values.end());
    }
  }
  return numbers;
}

// Pieces end at `cuts`; the tokens after the last cut are decoded one by one
// on the last rank alone.
Fed Feed(const GangCase& c, int ranks, const std::vector<int64_t>& cuts) {
  Fed fed;
  fed.hidden.resize(c.tokens * c.spec.hidden_size);
  fed.states.resize(ranks);
  const absl::Status status =
      RunThreadWorld(ranks, [&](worker::ProcessGroup& group) -> absl::Status {
        RankFixture rank(c, &group, 8 << 20, false);
        const StateCapacity capacity = {1, c.tokens, c.tokens};
        ASSIGN_OR_RETURN(auto state,
                         ModelState::Create(rank.context(), c.spec, capacity));
        int64_t begin = 0;
        for (int64_t cut : cuts) {
          RETURN_IF_ERROR(FeedPiece(rank, rank.context(), c, begin, cut,
                                    state.get(), fed.hidden));
          begin = cut;
        }
        fed.states[group.rank()] = StateNumbers(*state, c.spec);
        if (group.rank() + 1 < group.size()) return absl::OkStatus();
        for (; begin < c.tokens; ++begin) {
          RETURN_IF_ERROR(FeedPiece(rank, rank.Alone(), c, begin, begin + 1,
                                    state.get(), fed.hidden));
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return fed;
}

void ExpectNear(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], 1e-10 * (1 + std::abs(b[i]))) << "at " << i;
  }
}

class StateTest : public ::testing::TestWithParam<NamedSpec> {};

TEST_P(StateTest, PiecesGiveWhatTheWholeGives) {
  const GangCase c = MakeGangCase(GetParam().spec, 1, kStateTokens);
  const Fed whole = Feed(c, 1, {kStateTokens});
  for (int ranks : {1, 3}) {
    for (const std::vector<int64_t>& cuts :
         std::vector<std::vector<int64_t>>{{41, kStateTokens},
                                           {5, 8, 70, kStateTokens},
                                           {80, kStateTokens}}) {
      SCOPED_TRACE(::testing::Message() << ranks << " ranks, pieces to "
                                        << ::testing::PrintToString(cuts));
      ExpectNear(Feed(c, ranks, cuts).hidden, whole.hidden);
    }
  }
}

TEST_P(StateTest, TheLeavingStateIsTheSameOnEveryRank) {
  const GangCase c = MakeGangCase(GetParam().spec, 1, kStateTokens);
  const Fed one = Feed(c, 1, {kStateTokens});
  const Fed three = Feed(c, 3, {50, kStateTokens});
  EXPECT_EQ(three.states[0], three.states[1]);
  EXPECT_EQ(three.states[0], three.states[2]);
  ExpectNear(three.states[0], one.states[0]);
}

TEST_P(StateTest, DecodingGoesOnFromAPrefillByAnyGang) {
  const GangCase c = MakeGangCase(GetParam().spec, 1, kStateTokens);
  const Fed whole = Feed(c, 1, {kStateTokens});
  for (int ranks : {1, 3}) {
    SCOPED_TRACE(ranks);
    ExpectNear(Feed(c, ranks, {60}).hidden, whole.hidden);
  }
  // From nothing, and from a prompt shorter than convolution and window.
  ExpectNear(Feed(c, 1, {}).hidden, whole.hidden);
  ExpectNear(Feed(c, 2, {2}).hidden, whole.hidden);
}

TEST_P(StateTest, DocumentsEndAcrossPieces) {
  GangCase c = MakeGangCase(GetParam().spec, 1, kStateTokens);
  c.document_starts = {0, 30, 39, 41, 60};
  const Fed whole = Feed(c, 1, {kStateTokens});
  for (int ranks : {1, 3}) {
    SCOPED_TRACE(ranks);
    ExpectNear(Feed(c, ranks, {40, 45, kStateTokens}).hidden, whole.hidden);
  }
}

// The same where ranks share out heads or send rows: pieces, documents,
// decoding, and the state on every rank.
TEST_P(StateTest, HeadsAndRowsThatTravel) {
  GangCase c = MakeGangCase(WithEightHeads(GetParam().spec), 1, kStateTokens);
  for (const std::vector<int64_t>& starts :
       std::vector<std::vector<int64_t>>{{}, {0, 30, 39, 41, 60}}) {
    c.document_starts = starts;
    c.method = SequenceParallel::kLasp2;
    const Fed whole = Feed(c, 1, {kStateTokens});
    for (SequenceParallel method :
         {SequenceParallel::kUlysses, SequenceParallel::kRing}) {
      SCOPED_TRACE(SequenceParallelName(method));
      c.method = method;
      const Fed pieces = Feed(c, 3, {40, 45, kStateTokens});
      ExpectNear(pieces.hidden, whole.hidden);
      EXPECT_EQ(pieces.states[0], pieces.states[1]);
      EXPECT_EQ(pieces.states[0], pieces.states[2]);
      ExpectNear(pieces.states[0], whole.states[0]);
      if (starts.empty()) ExpectNear(Feed(c, 7, {60}).hidden, whole.hidden);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, StateTest, ::testing::ValuesIn(AllSmallSpecs()),
                         [](const auto& info) { return info.param.name; });

// ring_left makes no state. Validation refuses such jobs; a worker that gets
// one does not compute.
TEST(StateTest, ALeftProductRefusesAState) {
  GangCase c = MakeGangCase(SmallSpec(LinearMixer::kSimpleGla, "L"), 1, 12);
  c.method = SequenceParallel::kRingLeft;
  const absl::Status status =
      RunThreadWorld(2, [&](worker::ProcessGroup& group) -> absl::Status {
        RankFixture rank(c, &group, 8 << 20, false);
        ASSIGN_OR_RETURN(auto state, ModelState::Create(rank.context(), c.spec,
                                                        {1, 12, 12}));
        std::vector<double> hidden(c.tokens * c.spec.hidden_size);
        return FeedPiece(rank, rank.context(), c, 0, c.tokens, state.get(),
                         hidden);
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("ring_left with a state"));
}

TEST(StateTest, AStateThatIsFullSaysSo) {
  const GangCase c =
      MakeGangCase(SmallSpec(LinearMixer::kBasic, "LN"), 1, kStateTokens);
  RankFixture rank(c, nullptr, 8 << 20, false);
  auto state = ModelState::Create(rank.context(), c.spec, {1, 20, 20});
  ASSERT_TRUE(state.ok());
  std::vector<double> hidden(kStateTokens * c.spec.hidden_size);
  ASSERT_TRUE(
      FeedPiece(rank, rank.context(), c, 0, 15, state->get(), hidden).ok());
  const absl::Status full =
      FeedPiece(rank, rank.context(), c, 15, 25, state->get(), hidden);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
}

TEST(StateTest, AStateAtAnotherTokenIsRefused) {
  const GangCase c =
      MakeGangCase(SmallSpec(LinearMixer::kBasic, "L"), 1, kStateTokens);
  RankFixture rank(c, nullptr, 8 << 20, false);
  auto state = ModelState::Create(rank.context(), c.spec,
                                  {1, kStateTokens, kStateTokens});
  ASSERT_TRUE(state.ok());
  std::vector<double> hidden(kStateTokens * c.spec.hidden_size);
  const absl::Status wrong =
      FeedPiece(rank, rank.context(), c, 7, 9, state->get(), hidden);
  EXPECT_EQ(wrong.code(), absl::StatusCode::kInvalidArgument) << wrong;
}

}  // namespace
}  // namespace longspan::testing
