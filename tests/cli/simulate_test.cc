// longspan simulate, which needs no coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/cli/command_output.h"

namespace longspan::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kJob[] = R"(name: small
resources: {ranks: 4}
train:
  model: {hidden_size: 32, layer_count: 1, layer_pattern: L,
          linear: {heads: 2}, mlp: {intermediate_size: 32}}
  data: {uri: "corpus://a"}
  sequence_length: 64
  steps: 1
  optimizer: {learning_rate: 0.01}
)";

std::string JobFile() {
  const std::string path = testing::TempDir() + "simulate_job.yaml";
  std::ofstream(path) << kJob;
  return path;
}

CommandOutput Simulate(std::vector<std::string> words) {
  words.insert(words.begin(), "simulate");
  return Longspan(words);
}

CommandOutput SimulatePreset(std::vector<std::string> words) {
  words.insert(words.begin(), {"--preset", "linear-llama3-1b"});
  return Simulate(words);
}

TEST(SimulateTest, OnePointIsATable) {
  const CommandOutput output =
      SimulatePreset({"--tokens", "1Mi", "--ranks", "64"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out,
              AllOf(HasSubstr("1Mi tokens over 64 ranks"),
                    HasSubstr("lasp2           1056964608    1056964608"),
                    HasSubstr("64 ranks share the 16 heads")));
}

TEST(SimulateTest, AGridSaysWhoWinsWhere) {
  const CommandOutput output =
      SimulatePreset({"--tokens", "16Ki..64Ki", "--ranks", "4,8"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr("4 ranks"), HasSubstr(" 32Ki  "),
                                HasSubstr("who wins where\n- 4 ranks, ")));
}

TEST(SimulateTest, AJobBringsItsModelLengthAndRanks) {
  const CommandOutput output = Simulate({JobFile(), "--method", "lasp2"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("64 tokens over 4 ranks"));
}

TEST(SimulateTest, MistakesNameFlagValueAndFix) {
  const auto error = [](std::vector<std::string> words) {
    const CommandOutput output = SimulatePreset(words);
    EXPECT_EQ(output.code, 2) << output.err;
    EXPECT_EQ(output.out, "");
    return output.err;
  };
  EXPECT_THAT(error({"--ranks", "4"}), HasSubstr("needs --tokens and --ranks"));
  EXPECT_THAT(error({"--tokens", "16K", "--ranks", "4"}),
              HasSubstr("--tokens: '16K' is not a count"));
  EXPECT_THAT(error({"--tokens", "1Mi..4Ki", "--ranks", "4"}),
              HasSubstr("goes down"));
  EXPECT_THAT(error({"--tokens", "1Mi", "--ranks", "1Mi"}),
              HasSubstr("at most 65536"));
  EXPECT_THAT(error({"--tokens", "1Mi", "--ranks", "4", "--method", "lasp3"}),
              HasSubstr("--method: method 'lasp3' is not known; did you mean"));
  EXPECT_THAT(error({"--tokens", "1Mi", "--ranks", "4", "--levels", "node"}),
              HasSubstr("--levels: network level 'node'"));
  EXPECT_THAT(
      error({"--tokens", "1Mi", "--ranks", "64", "--method", "ulysses"}),
      HasSubstr("use at most 16 ranks"));
  EXPECT_THAT(error({"--tokens", "2", "--ranks", "4"}), HasSubstr("2"));
}

TEST(SimulateTest, OneModelIsNamed) {
  EXPECT_THAT(Simulate({}).err, HasSubstr("name a job file or --preset"));
  EXPECT_THAT(Simulate({"--preset", "gpt"}).err,
              HasSubstr("preset 'gpt' is not known"));
  EXPECT_EQ(Simulate({"nosuch.yaml"}).code, 70);
}

TEST(SimulateTest, HelpShowsFlagsAndExamples) {
  const CommandOutput output = Simulate({"--help"});
  EXPECT_EQ(output.code, 0);
  EXPECT_THAT(output.out, AllOf(HasSubstr("--levels"), HasSubstr("Examples")));
}

}  // namespace
}  // namespace longspan::cli
