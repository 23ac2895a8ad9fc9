#include "coordinator/store/log_store.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace longspan::coordinator {
namespace {

class LogStoreTest : public ::testing::Test {
 protected:
  LogStoreTest() {
    directory_ =
        (std::filesystem::temp_directory_path() / "longspan-XXXXXX").string();
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
  }
  ~LogStoreTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  const JobName job_ = MakeJobName("default", "a");
};

TEST_F(LogStoreTest, ReadsByOffset) {
  LogStore logs({directory_});
  ASSERT_TRUE(logs.Append(job_, "hello ").ok());
  ASSERT_TRUE(logs.Append(job_, "world\n").ok());
  EXPECT_EQ(*logs.Read(job_, 0, 100), "hello world\n");
  EXPECT_EQ(*logs.Read(job_, 6, 3), "wor");
  EXPECT_EQ(*logs.Read(job_, 12, 100), "");
  EXPECT_EQ(*logs.Read(job_, 1000, 100), "");
  EXPECT_EQ(logs.Read(job_, -1, 100).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST_F(LogStoreTest, JobWithoutOutputHasAnEmptyLog) {
  LogStore logs({directory_});
  EXPECT_EQ(*logs.Read(job_, 0, 100), "");
  EXPECT_TRUE(logs.Remove(job_).ok());
}

TEST_F(LogStoreTest, GoesOnAfterARestart) {
  ASSERT_TRUE(LogStore({directory_}).Append(job_, "one\n").ok());
  ASSERT_TRUE(LogStore({directory_}).Append(job_, "two\n").ok());
  EXPECT_EQ(*LogStore({directory_}).Read(job_, 0, 100), "one\ntwo\n");
}

TEST_F(LogStoreTest, StopsAtTheLimitAndSaysSo) {
  LogStore logs({directory_, 10});
  ASSERT_TRUE(logs.Append(job_, "12345678").ok());
  ASSERT_TRUE(logs.Append(job_, "90abcdef").ok());
  ASSERT_TRUE(logs.Append(job_, "more").ok());
  const std::string text = *logs.Read(job_, 0, 1000);
  EXPECT_EQ(text.substr(0, 10), "1234567890");
  EXPECT_NE(text.find("limit of 10 bytes"), std::string::npos) << text;
  EXPECT_EQ(text.find("more"), std::string::npos);
}

TEST_F(LogStoreTest, RemoveStartsAnew) {
  LogStore logs({directory_});
  ASSERT_TRUE(logs.Append(job_, "old").ok());
  ASSERT_TRUE(logs.Remove(job_).ok());
  ASSERT_TRUE(logs.Append(job_, "new").ok());
  EXPECT_EQ(*logs.Read(job_, 0, 100), "new");
}

}  // namespace
}  // namespace longspan::coordinator
