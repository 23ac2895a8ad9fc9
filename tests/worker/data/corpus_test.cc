// The committed corpus: its digest, and that the range printed by
// deploy/corpus/split is what TokenSource reads.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/base/sha256.h"
#include "worker/data/token_source.h"

namespace longspan::worker {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr char kCorpus[] = "deploy/corpus/devils-dictionary.txt.gz";

std::unique_ptr<TokenSource> OpenCorpus(TextRange range) {
  auto source =
      TokenSource::Open(UniqueFd(open(kCorpus, O_RDONLY)), kCorpus, range);
  EXPECT_EQ(source.status(), absl::OkStatus());
  return source.ok() ? *std::move(source) : nullptr;
}

TextRange HeldOut(const char* command) {
  FILE* pipe = popen(command, "r");
  long long begin = -1;
  long long end = -1;
  EXPECT_EQ(std::fscanf(pipe, "%lld %lld", &begin, &end), 2);
  EXPECT_EQ(pclose(pipe), 0);
  return {begin, end};
}

TEST(CorpusTest, IsTheTextOfItsProvenance) {
  const auto source = OpenCorpus({});
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->size(), 383656);
  EXPECT_EQ(Sha256::Hex(source->text()),
            "703d1225d2fb927653bfd8b00e4e96938e0b630c6023edd26702ac6ed50383f8");
}

TEST(CorpusTest, SplitCutsAtAnEntryBorder) {
  const TextRange held_out = HeldOut("deploy/corpus/split");
  EXPECT_EQ(held_out.end, 383656);
  EXPECT_GE(held_out.begin, 383656 * 9 / 10);
  const auto training = OpenCorpus({0, held_out.begin});
  const auto test = OpenCorpus(held_out);
  ASSERT_NE(training, nullptr);
  ASSERT_NE(test, nullptr);
  EXPECT_THAT(std::string(training->text()), EndsWith("Smith\n\n"));
  EXPECT_THAT(std::string(test->text()), StartsWith("TECHNICALITY, n.  "));
}

TEST(CorpusTest, SplitTakesTheFirstEntryAtOrAfterThePercentage) {
  const std::string path = ::testing::TempDir() + "/split_test.txt";
  FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("AA one\nBB no\n\nCc no\n\nDD two\n\nEE three\n", file);
  std::fclose(file);
  const auto at = [&](int percent) {
    const std::string command =
        "deploy/corpus/split " + path + " " + std::to_string(percent);
    return HeldOut(command.c_str()).begin;
  };
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(at(10), 21);  // DD: neither "BB" nor "Cc" is an entry line
  EXPECT_EQ(at(60), 29);
}

}  // namespace
}  // namespace longspan::worker
