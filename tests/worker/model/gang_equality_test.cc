// Gangs of every size compute what one rank computes: loss, hidden states,
// every parameter's gradient, and the gradient of the embedding token by
// token, borders included.
#include "common/model_spec/left_ring_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/worker/model/gang_distance.h"
#include "tests/worker/model/test_specs.h"

namespace longspan::testing {
namespace {

class GangEqualityTest : public ::testing::TestWithParam<NamedSpec> {};

TEST_P(GangEqualityTest, AnyNumberOfRanks) {
  // 71 is divided by none of the gangs; chunks of 64 begin inside ranges.
  const GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  const GangResult one = TrainOnce(c, 1);
  ASSERT_GT(Scale(one.d_embedding), 0);
  for (int ranks : {2, 3, 4, 7}) {
    SCOPED_TRACE(ranks);
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
  }
}

// All methods of exchanging states give the same numbers.
TEST_P(GangEqualityTest, AnyMethod) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  GangCase batch = MakeGangCase(GetParam().spec, 2, 29);
  const GangResult one = TrainOnce(c, 1);
  const GangResult one_batch = TrainOnce(batch, 1);
  c.document_starts = {0, 23, 25, 47, 49};
  const GangResult one_packed = TrainOnce(c, 1);
  for (SequenceParallel method :
       {SequenceParallel::kLasp1, SequenceParallel::kLasp1Serial,
        SequenceParallel::kAllScan, SequenceParallel::kScan,
        SequenceParallel::kRing}) {
    SCOPED_TRACE(SequenceParallelName(method));
    c.method = batch.method = method;
    for (int ranks : {2, 3, 7}) {
      SCOPED_TRACE(ranks);
      c.document_starts = {};
      ExpectSame(TrainOnce(c, ranks), one, 1e-10);
    }
    ExpectSame(TrainOnce(batch, 4), one_batch, 1e-10);
    c.document_starts = {0, 23, 25, 47, 49};
    ExpectSame(TrainOnce(c, 3), one_packed, 1e-10);
  }
}

// Heads travel instead of states: whole ones, a part of the heads of a key,
// one each; 3 and 7 divide neither heads nor tokens.
TEST_P(GangEqualityTest, HeadsThatTravel) {
  GangCase c = MakeGangCase(WithEightHeads(GetParam().spec), 1, 71);
  GangCase batch = MakeGangCase(c.spec, 2, 29);
  const GangResult one = TrainOnce(c, 1);
  const GangResult one_batch = TrainOnce(batch, 1);
  c.document_starts = {0, 23, 25, 47, 49};
  const GangResult one_packed = TrainOnce(c, 1);
  c.method = batch.method = SequenceParallel::kUlysses;
  for (int ranks : {2, 3, 7, 8}) {
    SCOPED_TRACE(ranks);
    c.document_starts = {};
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
  }
  ExpectSame(TrainOnce(batch, 4), one_batch, 1e-10);
  c.document_starts = {0, 23, 25, 47, 49};
  ExpectSame(TrainOnce(c, 3), one_packed, 1e-10);
  c.document_starts = {};
  c.ranges = {{0, 1}, {1, 60}, {60, 71}};
  ExpectSame(TrainOnce(c, 3), one, 1e-10);
}

// Products of two ranges, where decays are numbers for each head.
TEST_P(GangEqualityTest, LeftProducts) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  if (!CheckLeftProduct(FormOf(c.spec.linear), "").ok()) return;
  GangCase batch = MakeGangCase(c.spec, 2, 29);
  GangCase longer = MakeGangCase(c.spec, 1, 331);
  const GangResult one = TrainOnce(c, 1);
  const GangResult one_batch = TrainOnce(batch, 1);
  const GangResult one_longer = TrainOnce(longer, 1);
  c.document_starts = {0, 23, 25, 47, 49};
  const GangResult one_packed = TrainOnce(c, 1);
  c.method = batch.method = longer.method = SequenceParallel::kRingLeft;
  for (int ranks : {2, 3, 4, 7, 8}) {
    SCOPED_TRACE(ranks);
    c.document_starts = {};
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
    c.document_starts = {0, 23, 25, 47, 49};
    ExpectSame(TrainOnce(c, ranks), one_packed, 1e-10);
  }
  ExpectSame(TrainOnce(batch, 4), one_batch, 1e-10);
  ExpectSame(TrainOnce(longer, 2), one_longer, 1e-10);
  c.document_starts = {};
  c.ranges = {{0, 1}, {1, 60}, {60, 71}};
  ExpectSame(TrainOnce(c, 3), one, 1e-10);
}

// A token changes nothing that came before it, to the last bit.
TEST_P(GangEqualityTest, HeadsThatTravelLookBackOnly) {
  GangCase c = MakeGangCase(WithEightHeads(GetParam().spec), 1, 41);
  c.method = SequenceParallel::kUlysses;
  const std::vector<double> before = TrainOnce(c, 3).hidden;
  constexpr int64_t kToken = 20;
  c.ids[kToken] = (c.ids[kToken] + 1) % 19;
  const std::vector<double> after = TrainOnce(c, 3).hidden;
  const auto past = kToken * c.spec.hidden_size;
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + past, after.begin()));
  EXPECT_FALSE(
      std::equal(before.begin() + past, before.end(), after.begin() + past));
}

TEST_P(GangEqualityTest, RangesLongerThanAChunk) {
  const GangCase c = MakeGangCase(GetParam().spec, 1, 331);
  ExpectSame(TrainOnce(c, 3), TrainOnce(c, 1), 1e-10);
}

TEST_P(GangEqualityTest, Batches) {
  const GangCase c = MakeGangCase(GetParam().spec, 3, 29);
  const GangResult one = TrainOnce(c, 1);
  for (int ranks : {2, 4}) {
    SCOPED_TRACE(ranks);
    ExpectSame(TrainOnce(c, ranks), one, 1e-10);
  }
}

// Documents that end at, before and after the cuts (3 ranks: 24, 48), one
// that spans three ranks, and some shorter than the convolution; the last on
// gangs of other sizes, too.
TEST_P(GangEqualityTest, PackedDocuments) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 72);
  for (const std::vector<int64_t>& starts :
       std::vector<std::vector<int64_t>>{{0, 24, 48},
                                         {0, 23, 25, 47, 49},
                                         {10, 70},
                                         {22},
                                         {0, 1, 2, 3, 22, 23, 24, 71}}) {
    SCOPED_TRACE(::testing::PrintToString(starts));
    c.document_starts = starts;
    const GangResult one = TrainOnce(c, 1);
    ExpectSame(TrainOnce(c, 3), one, 1e-10);
    if (starts.size() < 8) continue;
    for (int ranks : {2, 7}) {
      SCOPED_TRACE(ranks);
      ExpectSame(TrainOnce(c, ranks), one, 1e-10);
    }
  }
}

// Ranges shorter than the convolution's border: halos from several ranks.
TEST_P(GangEqualityTest, TinyRanges) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 9);
  const GangResult one = TrainOnce(c, 1);
  for (const std::vector<TokenRange>& ranges :
       std::vector<std::vector<TokenRange>>{
           {{0, 1}, {1, 2}, {2, 3}, {3, 9}},
           {{0, 5}, {5, 6}, {6, 8}, {8, 9}},
           {{0, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 8}, {8, 9}}}) {
    SCOPED_TRACE(ranges.size());
    c.ranges = ranges;
    ExpectSame(TrainOnce(c, static_cast<int>(ranges.size())), one, 1e-10);
  }
}

TEST_P(GangEqualityTest, SinglePrecision) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 150);
  c.dtype = kernels::DType::kF32;
  const GangResult one = TrainOnce(c, 1);
  for (int ranks : {2, 3}) {
    SCOPED_TRACE(ranks);
    ExpectSame(TrainOnce(c, ranks), one, SingleTolerance(c));
  }
}

// The backends agree, which ties the gang to the plain loops.
TEST_P(GangEqualityTest, ReferenceBackend) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  const GangResult cpu = TrainOnce(c, 2);
  c.backend = kernels::BackendKind::kReference;
  ExpectSame(TrainOnce(c, 3), cpu, 1e-10);
}

TEST_P(GangEqualityTest, SameBitsTwice) {
  const GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  const GangResult a = TrainOnce(c, 3);
  const GangResult b = TrainOnce(c, 3);
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.gradients, b.gradients);
}

INSTANTIATE_TEST_SUITE_P(Specs, GangEqualityTest,
                         ::testing::ValuesIn(AllSmallSpecs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longspan::testing
