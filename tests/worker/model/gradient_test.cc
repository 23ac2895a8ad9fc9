// The gradients of whole tiny models against central differences in double,
// and causality: a token never changes what came before it.
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/worker/model/test_specs.h"

namespace longspan::testing {
namespace {

// The loss of one rank with one parameter element moved.
double LossWith(GangCase c, int64_t element, double shift) {
  c.edit = [=](worker::Parameters& parameters) {
    parameters.values().data_as<double>()[element] += shift;
  };
  return TrainOnce(c, 1).loss;
}

class GradientTest : public ::testing::TestWithParam<NamedSpec> {};

// Elements of a parameter to move: two where models differ, in the mixers.
std::vector<int64_t> ElementsOf(const ParameterInfo& info) {
  if (info.name.find(".attn.") == std::string::npos) return {info.count / 2};
  return {info.count / 2, info.count - 1};
}

// Error of the differences is of order shift^2 = 4e-12 times the third
// derivative, large where the unit map meets a short key, and cancellation
// 1e-16 / shift = 5e-11, times the loss.
TEST_P(GradientTest, AgreesWithCentralDifferences) {
  constexpr double kShift = 2e-6;
  GangCase c = MakeGangCase(GetParam().spec, 1, 13);
  c.document_starts = {0, 8};
  const GangResult result = TrainOnce(c, 2);
  for (const ParameterInfo& info : LayoutParameters(c.spec).parameters) {
    for (int64_t i : ElementsOf(info)) {
      const int64_t element = info.offset + i;
      const double numeric =
          (LossWith(c, element, kShift) - LossWith(c, element, -kShift)) /
          (2 * kShift);
      EXPECT_NEAR(result.gradients[element], numeric,
                  1e-6 * (1 + std::abs(numeric)))
          << info.name << "[" << i << "]";
    }
  }
}

// Outputs before token t have the same bits when token t changes.
TEST_P(GradientTest, OutputsDoNotSeeLaterTokens) {
  constexpr int64_t kTokens = 97;
  GangCase c = MakeGangCase(GetParam().spec, 1, kTokens);
  const std::vector<double> before = TrainOnce(c, 3).hidden;
  const int64_t d = c.spec.hidden_size;
  // Around the borders of ranges (33, 65) and of a chunk.
  for (int64_t t : {1, 32, 33, 63, 64, 65, 96}) {
    GangCase changed = c;
    changed.ids[t] =
        (c.ids[t] + 1) % static_cast<int32_t>(c.spec.vocabulary_size);
    const std::vector<double> after = TrainOnce(changed, 3).hidden;
    for (int64_t i = 0; i < t * d; ++i) {
      ASSERT_EQ(after[i], before[i]) << "token " << i / d << " sees " << t;
    }
    bool differs = false;
    for (int64_t i = t * d; i < (t + 1) * d; ++i) {
      differs |= after[i] != before[i];
    }
    EXPECT_TRUE(differs) << "token " << t << " does not see itself";
  }
}

INSTANTIATE_TEST_SUITE_P(Specs, GradientTest,
                         ::testing::ValuesIn(AllSmallSpecs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longspan::testing
