#include "common/base/check.h"

#include <string>
#include <utility>

#include "common/base/status_macros.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

TEST(CheckTest, PassingChecksDoNothing) {
  LONGSPAN_CHECK(true) << "never evaluated";
  LONGSPAN_CHECK_EQ(1, 1);
  LONGSPAN_CHECK_LT(1, 2) << "never evaluated";
  LONGSPAN_CHECK_OK(absl::OkStatus());
}

TEST(CheckDeathTest, PrintsConditionValuesAndMessage) {
  EXPECT_DEATH(LONGSPAN_CHECK(1 > 2) << "why " << 7,
               "check_test.cc.*check failed: 1 > 2 why 7");
  EXPECT_DEATH(LONGSPAN_CHECK_EQ(3, 4) << "more", "3 == 4 \\(3 vs. 4\\) more");
  EXPECT_DEATH(LONGSPAN_CHECK_GE(3, 4), "3 >= 4 \\(3 vs. 4\\)");
  EXPECT_DEATH(LONGSPAN_CHECK_OK(absl::NotFoundError("gone")), "gone");
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}

absl::StatusOr<std::pair<int, int>> Split(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  return std::make_pair(half, n - half);
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN((const auto [low, high]), Split(n));
  int quarter = 0;
  ASSIGN_OR_RETURN(quarter, Half(low));
  return high == low ? quarter : -1;
}

absl::Status Touch(int n) {
  RETURN_IF_ERROR(Quarter(n).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, AssignAndReturn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
  EXPECT_TRUE(Touch(8).ok());
  EXPECT_EQ(Touch(3), absl::InvalidArgumentError("odd"));
}

}  // namespace
}  // namespace longspan
