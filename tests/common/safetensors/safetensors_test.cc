#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/safetensors/safetensors_header.h"
#include "common/safetensors/safetensors_reader.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The bytes of a file with this header and so many bytes of tensors.
std::string FileOf(const std::string& json, int64_t data_bytes) {
  const uint64_t length = json.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + json + std::string(data_bytes, 'd');
}

std::string Entry(const std::string& name, const std::string& dtype,
                  const std::string& shape, int64_t begin, int64_t end) {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[",
                      shape, "],\"data_offsets\":[", begin, ",", end, "]}");
}

absl::Status Parse(const std::string& json, int64_t data_bytes) {
  return ParseSafetensorsHeader(json, data_bytes).status();
}

struct BadHeader {
  std::string name;
  std::string json;
  int64_t data_bytes;
  std::string problem;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefusedWithItsReason) {
  const absl::Status status = Parse(GetParam().json, GetParam().data_bytes);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().problem));
}

const std::string kA = Entry("a", "F32", "2", 0, 8);

INSTANTIATE_TEST_SUITE_P(
    Headers, BadHeaderTest,
    ::testing::Values(
        BadHeader{"Empty", "", 0, "begin with '{'"},
        BadHeader{"LeadingSpace", " {}", 0, "begin with '{'"},
        BadHeader{"TrailingNewline", "{}\n", 0, "begin with '{'"},
        BadHeader{"NotJson", "{a}", 0, "valid JSON"},
        BadHeader{"TrailingObject", "{}{}", 0, "valid JSON"},
        BadHeader{"NotUtf8", "{\"\xff\":1}", 0, "valid JSON"},
        BadHeader{"RepeatedTensor", "{" + kA + "," + kA + "}", 8,
                  "'a' appears twice"},
        BadHeader{"RepeatedField",
                  "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],"
                  "\"data_offsets\":[0,8]}}",
                  8, "'dtype' appears twice"},
        BadHeader{"RepeatedMetadata",
                  "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0,
                  "'k' appears twice"},
        BadHeader{"MetadataNumber", "{\"__metadata__\":{\"k\":1}}", 0,
                  "not a string"},
        BadHeader{"MetadataList", "{\"__metadata__\":[]}", 0, "not an object"},
        BadHeader{"TensorNumber", "{\"a\":1}", 0, "lacks dtype"},
        BadHeader{"NoShape",
                  "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8,
                  "lacks dtype"},
        BadHeader{"UnknownType", "{" + Entry("a", "F33", "2", 0, 8) + "}", 8,
                  "unknown type 'F33'"},
        BadHeader{"NegativeShape", "{" + Entry("a", "F32", "-2", 0, 8) + "}", 8,
                  "whole number"},
        BadHeader{"FractionalShape", "{" + Entry("a", "F32", "2.0", 0, 8) + "}",
                  8, "whole number"},
        BadHeader{"ShapeOverflow",
                  "{" + Entry("a", "F32", "4294967296,4294967296", 0, 8) + "}",
                  8, "overflows"},
        BadHeader{"HalfByte", "{" + Entry("a", "F4", "3", 0, 2) + "}", 2,
                  "whole bytes"},
        BadHeader{"OneOffset",
                  "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],"
                  "\"data_offsets\":[8]}}",
                  8, "not two"},
        BadHeader{"HoleAtStart", "{" + Entry("a", "F32", "2", 4, 12) + "}", 12,
                  "ends at 0"},
        BadHeader{"HoleBetween",
                  "{" + kA + "," + Entry("b", "F32", "1", 12, 16) + "}", 16,
                  "ends at 8"},
        BadHeader{"Overlap",
                  "{" + kA + "," + Entry("b", "F32", "2", 4, 12) + "}", 12,
                  "ends at 8"},
        BadHeader{"Backwards", "{" + Entry("a", "F32", "2", 0, -8) + "}", 8,
                  "whole number"},
        BadHeader{"EndBeforeBegin",
                  "{" + kA + "," + Entry("b", "F32", "1", 8, 4) + "}", 8,
                  "ends at"},
        BadHeader{"WrongBytes", "{" + Entry("a", "F32", "3", 0, 8) + "}", 8,
                  "needs 12 bytes and has 8"},
        BadHeader{"FileTooShort", "{" + kA + "}", 7, "the file has 7"},
        BadHeader{"FileTooLong", "{" + kA + "}", 9, "the file has 9"}),
    [](const auto& info) { return info.param.name; });

TEST(SafetensorsHeaderTest, AllowsWhatTheFormatAllows) {
  EXPECT_EQ(Parse("{}   ", 0), absl::OkStatus());
  EXPECT_EQ(Parse("{\"__metadata__\":{\"format\":\"pt\"}," +
                      Entry("scalar", "F64", "", 0, 8) + "," +
                      Entry("none", "F32", "0,4", 8, 8) + "," +
                      Entry("bits", "F4", "4", 8, 10) + "}",
                  10),
            absl::OkStatus());
}

TEST(SafetensorsHeaderTest, LaysOutWidestFirstThenByName) {
  SafetensorsHeader header;
  header.metadata["format"] = "pt";
  header.tensors = {
      {"b", "F32", {1}}, {"z", "F64", {2}}, {"u", "U8", {3}}, {"a", "F32", {}}};
  const auto bytes = BuildSafetensorsHeader(header);
  ASSERT_EQ(bytes.status(), absl::OkStatus());
  EXPECT_EQ(bytes->size() % 8, 0u);
  const auto parsed = ParseSafetensorsHeader(bytes->substr(8), 27);
  ASSERT_EQ(parsed.status(), absl::OkStatus());
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : parsed->tensors) {
    names.push_back(entry.name);
  }
  EXPECT_THAT(names, ElementsAre("z", "a", "b", "u"));
  EXPECT_EQ(parsed->metadata.at("format"), "pt");
}

TEST(SafetensorsHeaderTest, RefusesToWriteTwoTensorsOfOneName) {
  SafetensorsHeader header;
  header.tensors = {{"a", "F32", {1}}, {"a", "F32", {1}}};
  EXPECT_EQ(BuildSafetensorsHeader(header).status().code(),
            absl::StatusCode::kInvalidArgument);
}

class SafetensorsReaderTest : public ::testing::Test {
 protected:
  // A new file each time: truncating one makes ext4 wait for the disk.
  void Write(const std::string& bytes) {
    std::remove(path_.c_str());
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  absl::Status Open(const std::string& bytes) {
    Write(bytes);
    return SafetensorsReader::Open(path_).status();
  }

  const std::string path_ = ::testing::TempDir() + "/reader_test.safetensors";
  const std::string good_ =
      FileOf("{" + kA + "," + Entry("b", "U8", "3", 8, 11) + "}  ", 11);
};

TEST_F(SafetensorsReaderTest, RefusesEveryTruncationByName) {
  ASSERT_EQ(Open(good_), absl::OkStatus());
  for (size_t size = 0; size < good_.size(); ++size) {
    const absl::Status status = Open(good_.substr(0, size));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  }
}

TEST_F(SafetensorsReaderTest, RefusesBytesTooMany) {
  EXPECT_EQ(Open(good_ + "x").code(), absl::StatusCode::kDataLoss);
}

TEST_F(SafetensorsReaderTest, RefusesHugeHeaders) {
  std::string bytes = good_;
  std::memset(bytes.data(), 0xff, 8);
  EXPECT_THAT(std::string(Open(bytes).message()), HasSubstr("the limit is"));
}

// A flipped bit may leave another valid header (a renamed tensor); it may
// never be read out of bounds or crash.
TEST_F(SafetensorsReaderTest, SurvivesEveryFlippedBitOfTheHeader) {
  const size_t header_end = good_.size() - 11;
  int refused = 0;
  for (size_t bit = 0; bit < header_end * 8; ++bit) {
    std::string bytes = good_;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    Write(bytes);
    const auto reader = SafetensorsReader::Open(path_);
    if (!reader.ok()) {
      ++refused;
      continue;
    }
    for (const SafetensorsEntry& entry : (*reader)->header().tensors) {
      EXPECT_EQ((*reader)->Bytes(entry).back(), 'd');
    }
  }
  EXPECT_GT(refused, static_cast<int>(header_end) * 5);
}

TEST_F(SafetensorsReaderTest, MissingFilesAreNotFound) {
  EXPECT_EQ(SafetensorsReader::Open("/nonexistent/x").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace longspan
