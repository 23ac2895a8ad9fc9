#include "worker/data/sequence_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace longspan::worker {
namespace {

using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;

std::unique_ptr<TokenSource> Text(int64_t size) {
  std::string text;
  for (int64_t i = 0; i < size; ++i) text += static_cast<char>(i * 37 + 11);
  return TokenSource::FromText(text, "text");
}

TEST(SequenceSamplerTest, RanksReadTheirPartsOfTheSameSequence) {
  const auto source = Text(1000);
  const auto sampler = SequenceSampler::Create(*source, 97, 5);
  ASSERT_EQ(sampler.status(), absl::OkStatus());
  for (int64_t number : {0, 1, 123456}) {
    std::vector<int32_t> inputs(97), targets(97);
    ASSERT_EQ(sampler->Read(number, {0, 97}, absl::MakeSpan(inputs),
                            absl::MakeSpan(targets)),
              absl::OkStatus());
    EXPECT_THAT(targets, Each(Ge(0)));
    const std::vector<TokenSpan> parts = {{0, 33}, {33, 33}, {33, 97}};
    std::vector<int32_t> joined;
    for (const TokenSpan& span : parts) {
      std::vector<int32_t> in(span.size()), out(span.size());
      ASSERT_EQ(
          sampler->Read(number, span, absl::MakeSpan(in), absl::MakeSpan(out)),
          absl::OkStatus());
      joined.insert(joined.end(), in.begin(), in.end());
      for (int64_t i = 0; i < span.size(); ++i) {
        EXPECT_EQ(out[i], targets[span.begin + i]);
      }
    }
    EXPECT_EQ(joined, inputs);
  }
}

TEST(SequenceSamplerTest, OrderDependsOnSeedAndNumberOnly) {
  const auto source = Text(100000);
  const auto a = SequenceSampler::Create(*source, 64, 1);
  const auto b = SequenceSampler::Create(*source, 64, 2);
  std::set<int64_t> starts;
  int equal = 0;
  for (int64_t number = 0; number < 200; ++number) {
    EXPECT_EQ(a->Start(number),
              SequenceSampler::Create(*source, 64, 1)->Start(number));
    equal += a->Start(number) == b->Start(number) ? 1 : 0;
    starts.insert(a->Start(number));
  }
  EXPECT_LT(equal, 3);
  EXPECT_GT(starts.size(), 190u);
}

TEST(SequenceSamplerTest, EveryPlaceIsReached) {
  const auto source = Text(12);
  const auto sampler = SequenceSampler::Create(*source, 9, 1);
  std::set<int64_t> starts;
  for (int64_t number = 0; number < 200; ++number) {
    starts.insert(sampler->Start(number));
  }
  EXPECT_EQ(starts, (std::set<int64_t>{0, 1, 2}));
}

TEST(SequenceSamplerTest, RefusesSequencesLongerThanTheText) {
  const auto source = Text(100);
  EXPECT_EQ(SequenceSampler::Create(*source, 99, 1).status(), absl::OkStatus());
  const absl::Status status = SequenceSampler::Create(*source, 100, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("from 1 to 99"));
}

TEST(SequenceSamplerTest, RefusesSpansOutsideTheSequence) {
  const auto source = Text(100);
  const auto sampler = SequenceSampler::Create(*source, 10, 1);
  std::vector<int32_t> inputs(4), targets(4);
  for (const TokenSpan span :
       {TokenSpan{-1, 3}, TokenSpan{7, 11}, TokenSpan{0, 5}}) {
    EXPECT_EQ(
        sampler->Read(0, span, absl::MakeSpan(inputs), absl::MakeSpan(targets))
            .code(),
        absl::StatusCode::kOutOfRange);
  }
}

}  // namespace
}  // namespace longspan::worker
