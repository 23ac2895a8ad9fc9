#include "common/config/token_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TokenFileTest : public ::testing::Test {
 protected:
  ~TokenFileTest() override { std::remove(path_.c_str()); }

  void Write(const std::string& content, mode_t mode = 0600) {
    std::ofstream(path_) << content;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }

  const std::string path_ =
      ::testing::TempDir() + "/token_file_test." + std::to_string(getpid());
};

TEST_F(TokenFileTest, ReadsTheFirstLine) {
  Write("  0123456789abcdef \nsecond line\n");
  EXPECT_EQ(*ReadTokenFile(path_), "0123456789abcdef");
}

TEST_F(TokenFileTest, RefusesWeakTokensWithoutShowingThem) {
  Write("short-secret\n");
  const absl::Status status = ReadTokenFile(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("short-secret")));
  Write("0123456789 abcdef");
  EXPECT_FALSE(ReadTokenFile(path_).ok());
  Write(
      "0123456789\xc3\xa9"
      "abcdef");
  EXPECT_FALSE(ReadTokenFile(path_).ok());
  Write("");
  EXPECT_FALSE(ReadTokenFile(path_).ok());
}

TEST_F(TokenFileTest, RefusesFilesOpenToEveryone) {
  Write("0123456789abcdef", 0644);
  EXPECT_THAT(std::string(ReadTokenFile(path_).status().message()),
              HasSubstr("chmod 600"));
}

TEST_F(TokenFileTest, MissingFileIsAnError) {
  EXPECT_FALSE(ReadTokenFile(path_).ok());
}

TEST(TokensEqualTest, Compares) {
  EXPECT_TRUE(TokensEqual("abc", "abc"));
  EXPECT_TRUE(TokensEqual("", ""));
  EXPECT_FALSE(TokensEqual("abc", "abd"));
  EXPECT_FALSE(TokensEqual("abc", "abcabc"));
  EXPECT_FALSE(TokensEqual("abcabc", "abc"));
  EXPECT_FALSE(TokensEqual("abc", ""));
  EXPECT_FALSE(TokensEqual("", "abc"));
}

}  // namespace
}  // namespace longspan
