#include "worker/generate/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "common/base/status_macros.h"
#include "tests/support/job/test_rank.h"

namespace longspan::worker {
namespace {

using ::longspan::testing::TestRank;
using ::testing::HasSubstr;

// Logits of the probabilities 0.5, 0.3, 0.15, 0.05.
std::vector<double> Logits() {
  return {std::log(0.15), std::log(0.5), std::log(0.05), std::log(0.3)};
}

absl::StatusOr<SampledToken> SampleToken(std::vector<double> logits,
                                         const SamplingOptions& options,
                                         int64_t position) {
  const TestRank rank(nullptr);
  ASSIGN_OR_RETURN(Sampler sampler, Sampler::Create(rank.context(), options));
  const auto size = static_cast<int64_t>(logits.size());
  return sampler.Sample(
      kernels::ConstTensorView(logits.data(), kernels::DType::kF64, {1, size}),
      position);
}

std::map<int32_t, int> Counts(const SamplingOptions& options, int draws) {
  std::map<int32_t, int> counts;
  const TestRank rank(nullptr);
  Sampler sampler = Sampler::Create(rank.context(), options).value();
  const std::vector<double> logits = Logits();
  const kernels::ConstTensorView view(logits.data(), kernels::DType::kF64,
                                      {1, 4});
  for (int i = 0; i < draws; ++i) ++counts[sampler.Sample(view, i).value().id];
  return counts;
}

TEST(SamplerTest, TemperatureZeroTakesTheLargestAndTheLowerIdOfEquals) {
  const SamplingOptions greedy = {.temperature = 0.0, .seed = 5};
  EXPECT_EQ(SampleToken(Logits(), greedy, 3).value().id, 1);
  EXPECT_EQ(SampleToken({1.0, 2.0, 2.0, 2.0}, greedy, 3).value().id, 1);
}

TEST(SamplerTest, LogProbabilityIsTheModelsOwn) {
  for (double temperature : {0.0, 0.5, 2.0}) {
    const SampledToken token =
        SampleToken(Logits(), {.temperature = temperature, .top_k = 1}, 0)
            .value();
    EXPECT_EQ(token.id, 1);
    EXPECT_NEAR(token.log_probability, std::log(0.5), 1e-12);
  }
}

TEST(SamplerTest, FrequenciesFollowTheProbabilities) {
  constexpr int kDraws = 20000;
  std::map<int32_t, int> counts = Counts({.seed = 1}, kDraws);
  const double expected[] = {0.15, 0.5, 0.05, 0.3};
  for (int id = 0; id < 4; ++id) {
    // Five standard deviations of the binomial distribution.
    const double p = expected[id];
    EXPECT_NEAR(counts[id], p * kDraws,
                5.0 * std::sqrt(kDraws * p * (1.0 - p)));
  }
}

TEST(SamplerTest, TemperatureSharpens) {
  constexpr int kDraws = 20000;
  std::map<int32_t, int> counts =
      Counts({.temperature = 0.5, .seed = 2}, kDraws);
  const double total = 0.15 * 0.15 + 0.25 + 0.0025 + 0.09;
  const double p = 0.25 / total;
  EXPECT_NEAR(counts[1], p * kDraws, 5.0 * std::sqrt(kDraws * p * (1.0 - p)));
}

TEST(SamplerTest, TopKAndTopPKeepTheFirstCandidates) {
  EXPECT_THAT(
      Counts({.top_k = 2, .seed = 3}, 1000),
      ::testing::UnorderedElementsAre(::testing::Key(1), ::testing::Key(3)));
  // 0.5 < 0.6 <= 0.5 + 0.3: two tokens are needed.
  EXPECT_THAT(
      Counts({.top_p = 0.6, .seed = 3}, 1000),
      ::testing::UnorderedElementsAre(::testing::Key(1), ::testing::Key(3)));
  EXPECT_THAT(Counts({.top_p = 0.4, .seed = 3}, 100),
              ::testing::ElementsAre(::testing::Key(1)));
}

TEST(SamplerTest, DependsOnSeedAndPositionAlone) {
  const SamplingOptions a = {.seed = 7};
  const SamplingOptions b = {.seed = 8};
  int differs_by_position = 0;
  int differs_by_seed = 0;
  for (int i = 0; i < 64; ++i) {
    const int32_t id = SampleToken(Logits(), a, i).value().id;
    EXPECT_EQ(SampleToken(Logits(), a, i).value().id, id);
    differs_by_position += SampleToken(Logits(), a, i + 64).value().id != id;
    differs_by_seed += SampleToken(Logits(), b, i).value().id != id;
  }
  EXPECT_GT(differs_by_position, 10);
  EXPECT_GT(differs_by_seed, 10);
}

TEST(SamplerTest, RefusesLogitsThatAreNotNumbers) {
  const absl::Status status =
      SampleToken({0.0, std::numeric_limits<double>::quiet_NaN()}, {}, 0)
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("token 1"));
}

TEST(SamplerTest, NamesEveryBadOption) {
  EXPECT_TRUE(CheckSamplingOptions({}).ok());
  const absl::Status status =
      CheckSamplingOptions({.temperature = -1.0, .top_k = -2, .top_p = 1.5});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(HasSubstr("temperature -1"),
                               HasSubstr("top_k -2"), HasSubstr("top_p 1.5")));
}

}  // namespace
}  // namespace longspan::worker
