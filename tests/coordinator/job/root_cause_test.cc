#include "coordinator/job/root_cause.h"

#include <gtest/gtest.h>

namespace longspan::coordinator {
namespace {

using absl::StatusCode;

TEST(RootCauseTest, BlamesTheSourceNotTheEcho) {
  const std::vector<RankFailure> failures = {
      {2, StatusCode::kUnavailable, "connection closed by peer"},
      {1, StatusCode::kAborted, "stopped"},
      {0, StatusCode::kInternal, "loss is not finite"},
      {3, StatusCode::kUnknown, "later"}};
  EXPECT_EQ(RootCause(failures)->rank, 0);
  EXPECT_EQ(DescribeFailures(failures),
            "rank 0: INTERNAL: loss is not finite (and 3 more ranks)");
}

TEST(RootCauseTest, PermanentFailuresComeFirst) {
  const std::vector<RankFailure> failures = {
      {0, StatusCode::kInternal, "x"},
      {1, StatusCode::kNotFound, "corpus://t is missing"}};
  EXPECT_EQ(RootCause(failures)->rank, 1);
  EXPECT_EQ(DescribeFailures(failures),
            "rank 1: NOT_FOUND: corpus://t is missing (and 1 more rank)");
}

TEST(RootCauseTest, EchoesAreAllShown) {
  EXPECT_EQ(DescribeFailures({{1, StatusCode::kUnavailable, "lost rank 0"},
                              {0, StatusCode::kUnavailable, "killed"}}),
            "rank 1: UNAVAILABLE: lost rank 0; rank 0: UNAVAILABLE: killed");
  std::vector<RankFailure> numbered(
      5, {0, StatusCode::kUnavailable, "lost its neighbour"});
  for (int rank = 0; rank < 5; ++rank) numbered[rank].rank = rank;
  EXPECT_NE(DescribeFailures(numbered).find("(and 2 more ranks)"),
            std::string::npos);
}

TEST(RootCauseTest, NoFailureNoCause) {
  EXPECT_FALSE(RootCause({}).has_value());
  EXPECT_EQ(DescribeFailures({}), "");
}

TEST(RootCauseTest, TransientCodesAreNotPermanent) {
  for (StatusCode code :
       {StatusCode::kUnavailable, StatusCode::kAborted, StatusCode::kInternal,
        StatusCode::kUnknown, StatusCode::kDeadlineExceeded,
        StatusCode::kResourceExhausted, StatusCode::kDataLoss,
        StatusCode::kCancelled, StatusCode::kFailedPrecondition}) {
    EXPECT_FALSE(IsPermanent(code)) << absl::StatusCodeToString(code);
  }
  EXPECT_TRUE(IsPermanent(StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace longspan::coordinator
