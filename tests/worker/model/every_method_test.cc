// Every method of sequence parallelism where it is easiest to be wrong: no
// token sees a later one, whoever holds it; gradients of the tokens at the
// borders of ranks, each compared alone; single precision; any two methods in
// one model. How far all are from one rank on 1 to 8 ranks is the table's
// (tests/sequence_parallel_table).
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "common/model_spec/communication_plan.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/parameter_layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/transfer_lines.h"
#include "tests/worker/model/gang_distance.h"
#include "tests/worker/model/test_specs.h"

namespace longspan::testing {
namespace {

struct Method {
  std::string name;
  SequenceParallel linear = SequenceParallel::kLasp2;
  SoftmaxParallel softmax = SoftmaxParallel::kGather;
  TokenLayout layout = TokenLayout::kContiguous;

  // With which the sequence has four parts.
  int ranks() const { return layout == TokenLayout::kZigzag ? 2 : 4; }
};

constexpr SequenceParallel kLinear[] = {
    SequenceParallel::kLasp2,       SequenceParallel::kLasp1,
    SequenceParallel::kLasp1Serial, SequenceParallel::kAllScan,
    SequenceParallel::kScan,        SequenceParallel::kUlysses,
    SequenceParallel::kRing,        SequenceParallel::kMegatronSp,
    SequenceParallel::kRingLeft};
constexpr SoftmaxParallel kSoftmax[] = {
    SoftmaxParallel::kGather, SoftmaxParallel::kRing, SoftmaxParallel::kUlysses,
    SoftmaxParallel::kMegatronSp};

Method MethodOf(SequenceParallel linear, SoftmaxParallel softmax) {
  return {std::string(SequenceParallelName(linear)) + " " +
              std::string(SoftmaxParallelName(softmax)),
          linear, softmax};
}

// ring_left weighs with a number for each head.
bool HasMethod(const ModelSpec& spec, SequenceParallel method) {
  return method != SequenceParallel::kRingLeft ||
         CheckLeftProduct(FormOf(spec.linear), "").ok();
}

const Method kZigzag = {"zigzag", SequenceParallel::kLasp2,
                        SoftmaxParallel::kGather, TokenLayout::kZigzag};

// Of the layers that the model has.
std::vector<Method> MethodsOf(const ModelSpec& spec) {
  std::vector<Method> methods = {kZigzag};
  if (HasLayer(spec, LayerKind::kLinear)) {
    for (SequenceParallel method : kLinear) {
      if (!HasMethod(spec, method)) continue;
      methods.push_back(MethodOf(method, SoftmaxParallel::kGather));
    }
  } else {
    for (SoftmaxParallel method : kSoftmax) {
      methods.push_back(MethodOf(SequenceParallel::kLasp2, method));
    }
  }
  return methods;
}

GangResult Train(GangCase c, const Method& method) {
  c.method = method.linear;
  c.softmax_method = method.softmax;
  c.layout = method.layout;
  return TrainOnce(c, method.ranks());
}

// A head for every rank.
ModelSpec SpecOf(LinearMixer mixer, const std::string& pattern) {
  ModelSpec spec = WithEightHeads(SmallSpec(mixer, pattern));
  spec.softmax.heads = 8;
  return spec;
}

// One for each transition of the recurrence, and softmax.
std::vector<NamedSpec> Specs() {
  return {{"identity", SpecOf(LinearMixer::kBasic, "LL")},
          {"constant", SpecOf(LinearMixer::kLightning, "LL")},
          {"scalar", SpecOf(LinearMixer::kSimpleGla, "LL")},
          {"vector", SpecOf(LinearMixer::kGla, "LL")},
          {"dense", SpecOf(LinearMixer::kKda, "LL")},
          {"softmax", SpecOf(LinearMixer::kBasic, "NN")}};
}

// Four parts, cut at 6, 12 and 18.
constexpr int64_t kTokens = 23;
constexpr int64_t kBorders[] = {5, 6, 11, 12, 17, 18};
// Tokens at borders have ids that nothing else has, from here on.
constexpr int32_t kBorderIds = 13;

// All tokens count, so that every gradient is one of many.
GangCase BorderCase(const ModelSpec& spec) {
  GangCase c = MakeGangCase(spec, 1, kTokens);
  for (int32_t& id : c.ids) id %= kBorderIds;
  for (size_t i = 0; i < std::size(kBorders); ++i) {
    c.ids[kBorders[i]] = kBorderIds + static_cast<int32_t>(i);
  }
  for (int32_t& target : c.targets) target = std::max(target, 0);
  return c;
}

std::vector<double> RowOf(const std::vector<double>& values, const GangCase& c,
                          int64_t token) {
  const auto begin = values.begin() + token * c.spec.hidden_size;
  return {begin, begin + c.spec.hidden_size};
}

class EveryMethodTest : public ::testing::TestWithParam<NamedSpec> {};

// Changing a token changes no bit of any output before it, on any rank, and
// every output from it on.
TEST_P(EveryMethodTest, TokensLookBackOnlyAndAllTheWay) {
  const GangCase c = BorderCase(GetParam().spec);
  for (const Method& method : MethodsOf(c.spec)) {
    const std::vector<double> before = Train(c, method).hidden;
    for (int64_t changed : {5, 6, 18}) {  // cuts at 6, 12, 18
      SCOPED_TRACE(method.name + ", token " + std::to_string(changed));
      GangCase other = c;
      other.ids[changed] = (c.ids[changed] + 1) % kBorderIds;
      const std::vector<double> after = Train(other, method).hidden;
      for (int64_t token = 0; token < kTokens; ++token) {
        const bool same = RowOf(before, c, token) == RowOf(after, c, token);
        EXPECT_EQ(same, token < changed) << "output " << token;
      }
    }
  }
}

// d loss / d (embedding of the token of that id), along `direction`, by central
// differences of one rank on the plain loops.
double Slope(GangCase c, int32_t id, const std::vector<double>& direction) {
  constexpr double kShift = 2e-6;
  const int64_t width = c.spec.hidden_size;
  const auto loss = [&](double shift) {
    c.edit = [&, shift](worker::Parameters& parameters) {
      double* const row = parameters.values().data_as<double>() + id * width;
      for (int64_t i = 0; i < width; ++i) row[i] += shift * direction[i];
    };
    return TrainOnce(c, 1).loss;
  };
  return (loss(kShift) - loss(-kShift)) / (2 * kShift);
}

// Each token's gradient alone, so that a wrong border does not hide behind the
// largest gradient of the sequence: beside one rank on the plain loops, and
// beside central differences, whose error is of order 1e-6 (gradient_test.cc).
TEST_P(EveryMethodTest, GradientsOfBorderTokens) {
  GangCase plain = BorderCase(GetParam().spec);
  ASSERT_EQ(LayoutParameters(plain.spec).parameters[0].name,
            "model.embeddings.weight");
  plain.backend = kernels::BackendKind::kReference;
  const std::vector<double> one = TrainOnce(plain, 1).d_embedding;
  std::vector<double> direction, slopes;
  for (int64_t i = 0; i < plain.spec.hidden_size; ++i) {
    direction.push_back(std::cos(1.0 + 3.0 * static_cast<double>(i)));
  }
  for (int64_t token : kBorders) {
    slopes.push_back(Slope(plain, plain.ids[token], direction));
  }
  const GangCase c = BorderCase(GetParam().spec);
  for (const Method& method : MethodsOf(c.spec)) {
    const std::vector<double> gang = Train(c, method).d_embedding;
    for (size_t i = 0; i < std::size(kBorders); ++i) {
      SCOPED_TRACE(method.name + ", token " + std::to_string(kBorders[i]));
      const std::vector<double> row = RowOf(gang, c, kBorders[i]);
      EXPECT_LE(Distance(row, RowOf(one, c, kBorders[i])), 1e-10);
      double slope = 0;
      for (size_t j = 0; j < row.size(); ++j) slope += row[j] * direction[j];
      EXPECT_NEAR(slope, slopes[i], 1e-6 * (1 + std::abs(slopes[i])));
    }
  }
}

TEST_P(EveryMethodTest, SinglePrecision) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  c.dtype = kernels::DType::kF32;
  const GangResult one = TrainOnce(c, 1);
  for (const Method& method : MethodsOf(c.spec)) {
    SCOPED_TRACE(method.name);
    ExpectSame(Train(c, method), one, SingleTolerance(c));
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, EveryMethodTest, ::testing::ValuesIn(Specs()),
                         [](const auto& info) { return info.param.name; });

// Gathers in several calls: the same numbers, so the same bits. As bf16: other
// numbers, near them. state_exchange_test.cc has the bound of a state's error,
// 2^-8; here norms and cancelling sums may make it some 12 times as much, where
// a wrong state is an error of order 1.
TEST_P(EveryMethodTest, GathersOfLasp2) {
  GangCase c = MakeGangCase(GetParam().spec, 1, 71);
  c.dtype = kernels::DType::kF32;
  for (TokenLayout layout : {TokenLayout::kContiguous, TokenLayout::kZigzag}) {
    c.layout = layout;
    c.state_gather = {};
    const GangResult whole = TrainOnce(c, 4);
    c.state_gather.splits = 3;
    const GangResult split = TrainOnce(c, 4);
    EXPECT_EQ(split.hidden, whole.hidden);
    EXPECT_EQ(split.gradients, whole.gradients);
    c.state_gather = {.bf16 = true, .splits = 3};
    const GangResult narrow = TrainOnce(c, 4);
    const bool linear = HasLayer(c.spec, LayerKind::kLinear);
    EXPECT_EQ(narrow.hidden != whole.hidden, linear);
    EXPECT_EQ(narrow.gradients != whole.gradients, linear);
    ExpectSame(narrow, whole, 0.05);
  }
}

// Both kinds of layers in one model, each with its method, told by the bytes
// and messages of each layer; documents that begin inside ranges, at a cut and
// on both sides of one.
TEST(MixedMethodsTest, AnyPairOfMethods) {
  GangCase c = MakeGangCase(SpecOf(LinearMixer::kSimpleGla, "LNL"), 1, 43);
  c.document_starts = {0, 5, 10, 12, 33};  // cuts at 11, 22, 33
  const GangResult one = TrainOnce(c, 1);
  for (SequenceParallel linear : kLinear) {
    for (SoftmaxParallel softmax : kSoftmax) {
      const Method method = MethodOf(linear, softmax);
      SCOPED_TRACE(method.name);
      const GangResult gang = Train(c, method);
      ExpectSame(gang, one, 1e-10);
      CommunicationShape shape;
      shape.ranges = RangesOf(c, method.ranks());
      shape.element_bytes = 8;
      shape.method = linear;
      shape.softmax_method = softmax;
      for (int rank = 0; rank < method.ranks(); ++rank) {
        EXPECT_THAT(Counted(gang.ranks[rank].counters),
                    ::testing::UnorderedElementsAreArray(
                        Planned(PlanCommunication(c.spec, shape, rank))));
      }
    }
  }
}

}  // namespace
}  // namespace longspan::testing
