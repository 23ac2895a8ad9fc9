#include "worker/parallel/sequence_shard.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/parallel/mesh.h"

namespace longspan::worker {
namespace {

// fla's example: documents of 5 and 7 tokens over three ranks of 4.
TEST(SequenceShardTest, KnowsItsDocumentsAndThoseOfOthers) {
  SequencePiece piece;
  piece.tokens = 12;
  piece.document_starts = {0, 5};
  const auto shard = SequenceShard::Split(piece, 3, 1);
  ASSERT_TRUE(shard.ok());
  EXPECT_EQ(shard->range(), (TokenRange{4, 8}));
  ASSERT_EQ(shard->documents().count, 1);
  EXPECT_EQ(shard->documents().starts[0], 1);
  EXPECT_TRUE(shard->document_starts_in(0));
  EXPECT_TRUE(shard->document_starts_in(1));
  EXPECT_FALSE(shard->document_starts_in(2));
  EXPECT_EQ(shard->DocumentBegin(4), 0);
  EXPECT_EQ(shard->DocumentBegin(5), 5);
  EXPECT_EQ(shard->DocumentBegin(11), 5);
}

TEST(SequenceShardTest, AContinuedTextHasNoFirstDocument) {
  const auto shard = SequenceShard::Split({.tokens = 4}, 2, 0);
  ASSERT_TRUE(shard.ok());
  EXPECT_LT(shard->DocumentBegin(3), 0);
}

TEST(SequenceShardTest, PositionsAreThoseOfTheText) {
  const auto shard =
      SequenceShard::Split({.tokens = 7, .first_position = 100}, 3, 1);
  ASSERT_TRUE(shard.ok());
  std::vector<int64_t> positions(shard->tokens());
  shard->FillPositions(kernels::TensorView(
      positions.data(), kernels::DType::kI64, {shard->tokens()}));
  EXPECT_THAT(positions, ::testing::ElementsAre(103, 104));
}

TEST(SequenceShardTest, ZigzagGivesARankAnEarlyAndALatePart) {
  const auto shard = SequenceShard::Split(
      {.tokens = 14, .first_position = 100, .document_starts = {4, 10, 12}}, 3,
      1, TokenLayout::kZigzag);
  ASSERT_TRUE(shard.ok());
  EXPECT_EQ(shard->ranks(), 3);
  EXPECT_EQ(shard->tokens(), 5);
  ASSERT_EQ(shard->part_count(), 2);
  EXPECT_EQ(shard->parts()[0].index, 1);
  EXPECT_EQ(shard->parts()[0].range, (TokenRange{3, 6}));
  EXPECT_EQ(shard->parts()[1].index, 4);
  EXPECT_EQ(shard->parts()[1].range, (TokenRange{10, 12}));
  EXPECT_EQ(shard->parts()[1].first_row, 3);
  EXPECT_THAT(shard->parts()[0].starts, ::testing::ElementsAre(1));
  EXPECT_THAT(shard->parts()[1].starts, ::testing::ElementsAre(0));
  EXPECT_FALSE(shard->document_starts_in(3));
  EXPECT_TRUE(shard->document_starts_in(5));
  std::vector<int64_t> positions(shard->tokens());
  shard->FillPositions(kernels::TensorView(
      positions.data(), kernels::DType::kI64, {shard->tokens()}));
  EXPECT_THAT(positions, ::testing::ElementsAre(103, 104, 105, 110, 111));
}

TEST(SequenceShardTest, ZigzagOfFewTokensLeavesSecondPartsOut) {
  for (int rank = 0; rank < 3; ++rank) {
    const auto shard =
        SequenceShard::Split({.tokens = 4}, 3, rank, TokenLayout::kZigzag);
    ASSERT_TRUE(shard.ok());
    EXPECT_EQ(shard->filled_parts(), 4);
    EXPECT_EQ(shard->part_count(), rank == 2 ? 2 : 1);
    EXPECT_EQ(shard->tokens(), rank == 2 ? 2 : 1);
  }
  EXPECT_FALSE(
      SequenceShard::Split({.tokens = 2}, 3, 0, TokenLayout::kZigzag).ok());
}

TEST(SequenceShardTest, ZigzagOfOneRankIsTheSequence) {
  const auto shard =
      SequenceShard::Split({.tokens = 4}, 1, 0, TokenLayout::kZigzag);
  ASSERT_TRUE(shard.ok());
  EXPECT_EQ(shard->range(), (TokenRange{0, 4}));
  EXPECT_EQ(shard->layout(), TokenLayout::kContiguous);
}

TEST(SequenceShardTest, RefusesWhatDoesNotTile) {
  const auto refuse = [](SequencePiece piece, std::vector<TokenRange> ranges) {
    return SequenceShard::Create(std::move(piece), std::move(ranges), 0)
               .status()
               .code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refuse({.tokens = 8}, {{0, 4}, {4, 7}}));
  EXPECT_TRUE(refuse({.tokens = 8}, {{0, 4}, {5, 8}}));
  EXPECT_TRUE(refuse({.tokens = 8}, {}));
  EXPECT_TRUE(refuse({.batch = 0, .tokens = 8}, {{0, 8}}));
  EXPECT_TRUE(refuse({.tokens = 8, .document_starts = {3, 3}}, {{0, 8}}));
  EXPECT_TRUE(refuse({.tokens = 8, .document_starts = {8}}, {{0, 8}}));
  EXPECT_TRUE(
      refuse({.batch = 2, .tokens = 8, .document_starts = {3}}, {{0, 8}}));
}

TEST(MeshTest, RanksLieOnIt) {
  EXPECT_EQ(Mesh::Create(3, 1, 2)->sequence_rank(), SequenceRank(2));
  const absl::StatusOr<Mesh> mesh = Mesh::Create(6, 2, 4);
  ASSERT_TRUE(mesh.ok());
  EXPECT_EQ(mesh->sequence_ranks(), 3);
  EXPECT_EQ(mesh->replica(), 1);
  EXPECT_EQ(mesh->sequence_rank(), SequenceRank(1));
  EXPECT_FALSE(Mesh::Create(3, 1, 3).ok());
  EXPECT_FALSE(Mesh::Create(0, 1, 0).ok());
  EXPECT_FALSE(Mesh::Create(6, 0, 0).ok());
  EXPECT_EQ(Mesh::Create(6, 4, 0).status().message(),
            "6 ranks cannot be 4 replicas of equal size");
}

}  // namespace
}  // namespace longspan::worker
