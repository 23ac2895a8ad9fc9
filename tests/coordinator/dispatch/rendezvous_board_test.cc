#include "coordinator/dispatch/rendezvous_board.h"

#include <gtest/gtest.h>

namespace longspan::coordinator {
namespace {

class RendezvousBoardTest : public ::testing::Test {
 protected:
  RendezvousBoard board_;
  const JobName job_ = MakeJobName("default", "a");
};

TEST_F(RendezvousBoardTest, GetAfterSetIsAnsweredAtOnce) {
  ASSERT_TRUE(board_.Set(job_, 1, "k", "v")->empty());
  const auto answers = board_.Get(job_, 1, "k", {"w", 2, 7});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].value, "v");
  EXPECT_EQ(answers[0].asker.worker, "w");
  EXPECT_EQ(answers[0].asker.rank, 2);
  EXPECT_EQ(answers[0].asker.id, 7);
}

TEST_F(RendezvousBoardTest, GetsWaitForTheSet) {
  EXPECT_TRUE(board_.Get(job_, 1, "k", {"w", 1, 1}).empty());
  EXPECT_TRUE(board_.Get(job_, 1, "k", {"v", 2, 1}).empty());
  EXPECT_TRUE(board_.Set(job_, 1, "other", "x")->empty());
  EXPECT_EQ(board_.Set(job_, 1, "k", "v")->size(), 2u);
  EXPECT_TRUE(board_.Set(job_, 1, "k", "v")->empty()) << "answered once";
}

TEST_F(RendezvousBoardTest, KeysDoNotChange) {
  ASSERT_TRUE(board_.Set(job_, 1, "k", "v").ok());
  EXPECT_TRUE(board_.Set(job_, 1, "k", "v").ok());
  EXPECT_EQ(board_.Set(job_, 1, "k", "w").status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(RendezvousBoardTest, EpochsShareNothing) {
  ASSERT_TRUE(board_.Set(job_, 1, "k", "old").ok());
  EXPECT_TRUE(board_.Get(job_, 2, "k", {"w", 0, 1}).empty());
  EXPECT_EQ(board_.Set(job_, 2, "k", "new")->at(0).value, "new");
  board_.Forget(job_);
  EXPECT_TRUE(board_.Get(job_, 2, "k", {"w", 0, 2}).empty());
}

TEST_F(RendezvousBoardTest, ValuesAreBounded) {
  EXPECT_TRUE(
      board_
          .Set(job_, 1, "k", std::string(RendezvousBoard::kMaxValueBytes, 'x'))
          .ok());
  EXPECT_EQ(board_
                .Set(job_, 1, "l",
                     std::string(RendezvousBoard::kMaxValueBytes + 1, 'x'))
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace longspan::coordinator
