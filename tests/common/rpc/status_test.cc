#include "common/rpc/status.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"

namespace longspan {
namespace {

constexpr char kInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequest[] = "type.googleapis.com/google.rpc.BadRequest";

absl::Status WithDetails(int violations) {
  absl::Status status = absl::InvalidArgumentError("bad spec");
  google::rpc::ErrorInfo info;
  info.set_reason("INVALID_JOB_SPEC");
  info.set_domain("longspan");
  (*info.mutable_metadata())["job"] = "a";
  status.SetPayload(kInfo, absl::Cord(info.SerializeAsString()));
  google::rpc::BadRequest request;
  for (int i = 0; i < violations; ++i) {
    auto& violation = *request.add_field_violations();
    violation.set_field("train.steps");
    violation.set_description("must be positive, not " + std::to_string(-i));
  }
  status.SetPayload(kBadRequest, absl::Cord(request.SerializeAsString()));
  return status;
}

TEST(StatusTest, RoundTripKeepsEverything) {
  const absl::Status before = WithDetails(2);
  const absl::Status after = FromGrpcStatus(ToGrpcStatus(before));
  EXPECT_EQ(after, before);
  EXPECT_EQ(ErrorReason(after), "INVALID_JOB_SPEC");
  EXPECT_EQ(ErrorMetadata(after, "job"), "a");
  EXPECT_EQ(ErrorMetadata(after, "none"), "");
  ASSERT_EQ(ErrorViolations(after).size(), 2u);
  EXPECT_EQ(ErrorViolations(after)[1].second, "must be positive, not -1");
}

TEST(StatusTest, OkIsOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(StatusTest, EveryCodeSurvives) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "text");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  }
}

TEST(StatusTest, DetailsAndMessageStaySmall) {
  absl::Status status = WithDetails(1000);
  const grpc::Status sent = ToGrpcStatus(status);
  EXPECT_LE(sent.error_details().size(), 4096u);
  const absl::Status after = FromGrpcStatus(sent);
  EXPECT_GT(ErrorViolations(after).size(), 10u);
  EXPECT_EQ(ErrorReason(after), "INVALID_JOB_SPEC");
  const grpc::Status longer =
      ToGrpcStatus(absl::InternalError(std::string(100000, 'x')));
  EXPECT_LT(longer.error_message().size(), 2000u);
}

TEST(StatusTest, StatusesOfOthersHaveNoReason) {
  const absl::Status status = FromGrpcStatus(
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "x", "not a status"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorReason(status), "");
  EXPECT_TRUE(ErrorViolations(status).empty());
}

}  // namespace
}  // namespace longspan
