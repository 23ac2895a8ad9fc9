#include "common/safetensors/safetensors_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/safetensors/safetensors_reader.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;

TEST(SafetensorsWriterTest, WritesWhatTheReaderReads) {
  const std::string path = ::testing::TempDir() + "/written.safetensors";
  ASSERT_EQ(WriteSafetensors(path,
                             {{"bytes", "U8", {3}, "abc"},
                              {"scalar", "F32", {}, "1234"},
                              {"empty", "F64", {0, 2}, ""}},
                             {{"made by", "a test"}}),
            absl::OkStatus());
  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->header().metadata.at("made by"), "a test");
  EXPECT_EQ((*reader)->Bytes(*(*reader)->Find("bytes")), "abc");
  EXPECT_EQ((*reader)->Bytes(*(*reader)->Find("scalar")), "1234");
  EXPECT_EQ((*reader)->Bytes(*(*reader)->Find("empty")), "");
}

TEST(SafetensorsWriterTest, RefusesBytesThatDoNotFillTheShape) {
  const absl::Status status = WriteSafetensors(
      ::testing::TempDir() + "/short.safetensors", {{"x", "F32", {2}, "1234"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("'x' has 4 bytes, its shape needs 8"));
}

// The file of that name stays, and nothing is left beside it.
TEST(SafetensorsWriterTest, FailuresLeaveNothing) {
  const std::string directory = ::testing::TempDir() + "/writer_failures";
  const std::string path = directory + "/taken";
  std::filesystem::create_directories(path);
  const absl::Status status = WriteSafetensors(path, {{"x", "U8", {1}, "1"}});
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot replace"));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  EXPECT_TRUE(std::filesystem::is_directory(path));
  EXPECT_EQ(WriteSafetensors("/nonexistent/x", {}).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace longspan
