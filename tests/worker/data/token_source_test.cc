#include "worker/data/token_source.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "worker/data/gzip.h"

namespace longspan::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An open, unlinked file with these bytes.
UniqueFd FileWith(const std::string& bytes) {
  std::string path = ::testing::TempDir() + "/token_source_XXXXXX";
  UniqueFd file(mkstemp(path.data()));
  EXPECT_TRUE(file.valid());
  unlink(path.c_str());
  EXPECT_EQ(write(file.get(), bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  return file;
}

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  EXPECT_EQ(
      deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
      Z_OK);
  std::string packed(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string Noise(int64_t size) {
  std::string text;
  uint32_t state = 1;
  for (int64_t i = 0; i < size; ++i) {
    state = state * 1664525u + 1013904223u;
    text += static_cast<char>(state >> 24);
  }
  return text;
}

TEST(TokenSourceTest, ReadsAPlainFile) {
  const auto source = TokenSource::Open(FileWith("hello"), "hello.txt");
  ASSERT_EQ(source.status(), absl::OkStatus());
  EXPECT_EQ((*source)->text(), "hello");
  EXPECT_EQ((*source)->size(), 5);
}

TEST(TokenSourceTest, TargetsAreTheNextBytes) {
  const auto source = TokenSource::FromText("ab\xff", "text");
  std::vector<int32_t> inputs(2), targets(2);
  ASSERT_EQ(source->Read(1, absl::MakeSpan(inputs), absl::MakeSpan(targets)),
            absl::OkStatus());
  EXPECT_THAT(inputs, ElementsAre('b', 255));
  EXPECT_THAT(targets, ElementsAre(255, TokenSource::kNoTarget));
}

TEST(TokenSourceTest, ReadsGzipLikePlain) {
  const std::string text = Noise(3'000'000);
  for (const TextRange range : {TextRange{}, TextRange{5, 2'999'000}}) {
    const auto plain = TokenSource::Open(FileWith(text), "plain", range);
    const auto packed = TokenSource::Open(FileWith(Gzip(text)), "gz", range);
    ASSERT_EQ(plain.status(), absl::OkStatus());
    ASSERT_EQ(packed.status(), absl::OkStatus());
    EXPECT_TRUE((*plain)->text() == (*packed)->text());
  }
}

TEST(TokenSourceTest, ReadsGzipMembersInARow) {
  const auto source =
      TokenSource::Open(FileWith(Gzip("one ") + Gzip("two")), "gz");
  ASSERT_EQ(source.status(), absl::OkStatus());
  EXPECT_EQ((*source)->text(), "one two");
}

TEST(TokenSourceTest, RefusesEveryTruncationOfGzip) {
  const std::string packed = Gzip("a text that is long enough to be packed");
  for (size_t size = 2; size < packed.size(); ++size) {
    const auto source =
        TokenSource::Open(FileWith(packed.substr(0, size)), "cut.gz");
    EXPECT_EQ(source.status().code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_THAT(std::string(source.status().message()), HasSubstr("cut.gz"));
  }
}

TEST(TokenSourceTest, RefusesDamagedGzip) {
  std::string packed = Gzip("a text that is long enough to be packed");
  packed[packed.size() - 6] ^= 1;  // in the checksum
  EXPECT_EQ(TokenSource::Open(FileWith(packed), "gz").status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(
      TokenSource::Open(FileWith(Gzip("one") + "junk"), "gz").status().code(),
      absl::StatusCode::kDataLoss);
}

TEST(TokenSourceTest, BoundsWhatGzipMayUnpackTo) {
  const std::string packed = Gzip(std::string(5'000'000, 'x'));
  EXPECT_EQ(UnpackGzip(packed, "bomb", 1'000'000).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(TokenSourceTest, RangesCountBytes) {
  const auto source =
      TokenSource::Open(FileWith("0123456789"), "digits", {2, 5});
  ASSERT_EQ(source.status(), absl::OkStatus());
  EXPECT_EQ((*source)->text(), "234");
}

TEST(TokenSourceTest, RefusesRangesOutsideTheText) {
  for (const TextRange range :
       {TextRange{-1, 5}, TextRange{5, 5}, TextRange{6, 5}, TextRange{0, 11},
        TextRange{10, 0}}) {
    const auto source =
        TokenSource::Open(FileWith("0123456789"), "digits", range);
    EXPECT_EQ(source.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(source.status().message()), HasSubstr("digits"));
  }
}

TEST(TokenSourceTest, RefusesEmptyFilesAndDirectories) {
  EXPECT_THAT(
      std::string(TokenSource::Open(FileWith(""), "void").status().message()),
      HasSubstr("void is empty"));
  UniqueFd directory(open("/", O_RDONLY | O_DIRECTORY));
  EXPECT_THAT(
      std::string(
          TokenSource::Open(std::move(directory), "root").status().message()),
      HasSubstr("not a regular file"));
}

TEST(TokenSourceTest, RefusesTokenFilesByFormat) {
  const uint32_t magic = 20240520;
  std::string llmc(reinterpret_cast<const char*>(&magic), 4);
  llmc.resize(2048);
  EXPECT_THAT(
      std::string(
          TokenSource::Open(FileWith(llmc), "t.bin").status().message()),
      HasSubstr("t.bin is a token file (llm.c)"));
  const std::string megatron("MMIDIDX\0\0\1\0\0\0\0\0\0\0", 17);
  EXPECT_THAT(
      std::string(
          TokenSource::Open(FileWith(megatron), "t.idx").status().message()),
      HasSubstr("Megatron"));
}

TEST(TokenSourceTest, RefusesReadsOutsideTheRange) {
  const auto source = TokenSource::FromText("abc", "text");
  std::vector<int32_t> inputs(2), targets(2);
  for (int64_t begin : {-1, 2, 4}) {
    EXPECT_EQ(
        source->Read(begin, absl::MakeSpan(inputs), absl::MakeSpan(targets))
            .code(),
        absl::StatusCode::kOutOfRange);
  }
}

}  // namespace
}  // namespace longspan::worker
