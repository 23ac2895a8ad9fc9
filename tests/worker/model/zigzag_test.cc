// The layout zigzag computes what one rank computes, with two parts of the
// sequence on every rank: loss, hidden states, every parameter's gradient, and
// the gradient of the embedding token by token, borders included.
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/worker/model/gang_distance.h"
#include "tests/worker/model/test_specs.h"

namespace longspan::testing {
namespace {

class ZigzagTest : public ::testing::TestWithParam<NamedSpec> {
 protected:
  static GangCase Case(int64_t batch, int64_t tokens) {
    GangCase c = MakeGangCase(GetParam().spec, batch, tokens);
    c.layout = TokenLayout::kZigzag;
    return c;
  }
};

TEST_P(ZigzagTest, AnyNumberOfRanks) {
  // 71 is divided by no number of parts.
  const GangCase c = Case(1, 71);
  const GangResult one = TrainOnce(c, 1);
  ASSERT_GT(Scale(one.d_embedding), 0);
  for (int ranks : {2, 3, 4, 7, 8}) {
    SCOPED_TRACE(ranks);
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
  }
}

TEST_P(ZigzagTest, PartsLongerThanAChunk) {
  const GangCase c = Case(1, 331);
  ExpectSame(TrainOnce(c, 2), TrainOnce(c, 1), 1e-10);
}

TEST_P(ZigzagTest, Batches) {
  const GangCase c = Case(3, 29);
  const GangResult one = TrainOnce(c, 1);
  for (int ranks : {2, 4}) {
    SCOPED_TRACE(ranks);
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
  }
}

// Fewer tokens than parts: the first ranks hold one part, the others two. Parts
// are shorter than the convolution's border, and its halo comes from several,
// some of them the rank's own.
TEST_P(ZigzagTest, FewerTokensThanParts) {
  for (const auto& [tokens, ranks, batch] :
       std::vector<std::tuple<int64_t, int, int64_t>>{
           {8, 8, 1}, {13, 8, 2}, {16, 8, 1}, {7, 4, 2}, {7, 4, 1}}) {
    SCOPED_TRACE(::testing::Message() << tokens << " over " << ranks);
    const GangCase c = Case(batch, tokens);
    ExpectSame(TrainOnce(c, ranks), TrainOnce(c, 1), 1e-10);
  }
}

// Documents that end at, before and after the cuts (3 ranks: every 12), that
// span several parts, that begin on both parts of a rank, and some shorter
// than the convolution.
TEST_P(ZigzagTest, PackedDocuments) {
  GangCase c = Case(1, 72);
  for (const std::vector<int64_t>& starts :
       std::vector<std::vector<int64_t>>{{0, 24, 48},
                                         {0, 11, 13, 35, 37},
                                         {10, 70},
                                         {22},
                                         {0, 1, 2, 3, 34, 35, 36, 37, 71}}) {
    SCOPED_TRACE(::testing::PrintToString(starts));
    c.document_starts = starts;
    const GangResult one = TrainOnce(c, 1);
    ExpectSame(TrainOnce(c, 3), one, 1e-10);
    if (starts.size() < 9) continue;
    for (int ranks : {2, 7}) {
      SCOPED_TRACE(ranks);
      ExpectSame(TrainOnce(c, ranks), one, 1e-10);
    }
  }
}

// Parts as uneven as can be.
TEST_P(ZigzagTest, UnevenParts) {
  GangCase c = Case(1, 40);
  const GangResult one = TrainOnce(c, 1);
  c.ranges = {{0, 1}, {1, 30}, {30, 31}, {31, 40}};
  ExpectSame(TrainOnce(c, 2), one, 1e-10);
  c.ranges = {{0, 20}, {20, 21}, {21, 22}, {22, 38}, {38, 39}, {39, 40}};
  ExpectSame(TrainOnce(c, 3), one, 1e-10);
}

// A token changes nothing that came before it, to the last bit.
TEST_P(ZigzagTest, TokensLookBackOnly) {
  GangCase c = Case(1, 41);
  const std::vector<double> before = TrainOnce(c, 3).hidden;
  for (const int64_t token : {6, 35}) {
    GangCase changed = c;
    changed.ids[token] = (c.ids[token] + 1) % 19;
    const std::vector<double> after = TrainOnce(changed, 3).hidden;
    const auto past = token * c.spec.hidden_size;
    EXPECT_TRUE(
        std::equal(before.begin(), before.begin() + past, after.begin()));
    EXPECT_FALSE(
        std::equal(before.begin() + past, before.end(), after.begin() + past));
  }
}

TEST_P(ZigzagTest, ReferenceBackend) {
  GangCase c = Case(1, 71);
  const GangResult cpu = TrainOnce(c, 2);
  c.backend = kernels::BackendKind::kReference;
  ExpectSame(TrainOnce(c, 3), cpu, 1e-10);
}

TEST_P(ZigzagTest, SameBitsTwice) {
  const GangCase c = Case(1, 71);
  const GangResult a = TrainOnce(c, 3);
  const GangResult b = TrainOnce(c, 3);
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.gradients, b.gradients);
}

INSTANTIATE_TEST_SUITE_P(Specs, ZigzagTest,
                         ::testing::ValuesIn(AllSmallSpecs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longspan::testing
