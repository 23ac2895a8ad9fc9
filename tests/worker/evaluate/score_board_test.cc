#include "worker/evaluate/score_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace longspan::worker {
namespace {

using ::testing::HasSubstr;

TEST(ScoreBoardTest, BucketsByPosition) {
  ScoreBoard board = ScoreBoard::Create({2, 5}, 10).value();
  for (int64_t position = 1; position < 10; ++position) {
    board.Add(position, static_cast<double>(position));
  }
  const Scores scores = board.Summarise(9);
  EXPECT_EQ(scores.tokens, 9);
  EXPECT_DOUBLE_EQ(scores.loss, 5.0);
  EXPECT_DOUBLE_EQ(scores.perplexity, std::exp(5.0));
  EXPECT_DOUBLE_EQ(scores.bits_per_byte, 5.0 / std::log(2.0));
  ASSERT_EQ(scores.buckets.size(), 3u);
  EXPECT_EQ(scores.buckets[0].begin, 0);
  EXPECT_EQ(scores.buckets[0].end, 2);
  EXPECT_EQ(scores.buckets[0].tokens, 1);
  EXPECT_DOUBLE_EQ(scores.buckets[1].loss, 3.0);  // 2, 3, 4
  EXPECT_DOUBLE_EQ(scores.buckets[2].loss, 7.0);  // 5 .. 9
  EXPECT_EQ(scores.buckets[2].end, 10);
}

TEST(ScoreBoardTest, PositionsMayGoBack) {
  ScoreBoard board = ScoreBoard::Create({2, 5}, 10).value();
  board.Add(9, 1.0);
  board.Add(1, 2.0);
  board.Add(4, 3.0);
  const Scores scores = board.Summarise(3);
  ASSERT_EQ(scores.buckets.size(), 3u);
  EXPECT_DOUBLE_EQ(scores.buckets[0].loss, 2.0);
  EXPECT_DOUBLE_EQ(scores.buckets[1].loss, 3.0);
  EXPECT_DOUBLE_EQ(scores.buckets[2].loss, 1.0);
}

TEST(ScoreBoardTest, DefaultBucketsArePowersOfFour) {
  ScoreBoard board = ScoreBoard::Create({}, 100).value();
  for (int64_t position = 1; position < 100; ++position) {
    board.Add(position, 1.0);
  }
  const Scores scores = board.Summarise(99);
  ASSERT_EQ(scores.buckets.size(), 4u);
  EXPECT_EQ(scores.buckets[1].end, 16);
  EXPECT_EQ(scores.buckets[3].begin, 64);
  EXPECT_EQ(scores.buckets[3].end, 100);
}

TEST(ScoreBoardTest, SumsOfRanksAddUp) {
  ScoreBoard whole = ScoreBoard::Create({4}, 8).value();
  ScoreBoard left = ScoreBoard::Create({4}, 8).value();
  ScoreBoard right = ScoreBoard::Create({4}, 8).value();
  for (int64_t position = 1; position < 8; ++position) {
    whole.Add(position, 0.5 * position);
    (position < 3 ? left : right).Add(position, 0.5 * position);
  }
  for (size_t i = 0; i < left.values().size(); ++i) {
    left.values()[i] += right.values()[i];
  }
  EXPECT_DOUBLE_EQ(left.Summarise(7).loss, whole.Summarise(7).loss);
  EXPECT_EQ(left.Summarise(7).buckets.size(), 2u);
}

TEST(ScoreBoardTest, RefusesBoundsThatDoNotRise) {
  const absl::Status status = ScoreBoard::Create({8, 8}, 100).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("8 after 8"));
  EXPECT_FALSE(ScoreBoard::Create({0}, 100).ok());
}

TEST(ScoreBoardTest, NothingScoredIsNotANumberNowhere) {
  const Scores scores = ScoreBoard::Create({}, 1).value().Summarise(0);
  EXPECT_EQ(scores.tokens, 0);
  EXPECT_EQ(scores.loss, 0.0);
  EXPECT_EQ(scores.bits_per_byte, 0.0);
}

}  // namespace
}  // namespace longspan::worker
