// longspan simulate, which needs no coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/command_output.h"

namespace longspan::cli {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

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
  EXPECT_THAT(
      output.out,
      AllOf(HasSubstr("1Mi tokens over 64 ranks"),
            HasSubstr("lasp2           1056964608    1056964608"),
            HasSubstr("megatron_sp gives every rank whole heads, and 64 "
                      "ranks are more than the 16 heads")));
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

TEST(SimulateTest, ReplicasAreRefused) {
  const std::string path = testing::TempDir() + "simulate_replicas.yaml";
  std::ofstream(path) << kJob << "  data_parallel: 2\n  batch_size: 2\n";
  const CommandOutput output = Simulate({path});
  EXPECT_EQ(output.code, 2);
  EXPECT_THAT(output.err, HasSubstr("data_parallel is 2, and simulate takes"));
}

// A layer of 2 heads of 16 x 16 and a decay each: 3 ranks get 2056 bytes, and
// backward 2048, of each of two parts.
TEST(SimulateTest, AJobBringsItsLayout) {
  const std::string path = testing::TempDir() + "simulate_zigzag.yaml";
  std::ofstream(path) << kJob << "  layout: zigzag\n";
  const CommandOutput zigzag = Simulate({path});
  EXPECT_EQ(zigzag.code, 0) << zigzag.err;
  EXPECT_THAT(zigzag.out,
              AllOf(HasSubstr("lasp2     12336     12288"),
                    HasSubstr("- lasp2 with layout zigzag\n"),
                    HasSubstr("- scan: zigzag goes with sequence_parallel "
                              "lasp2, not with scan")));
  const CommandOutput contiguous =
      Simulate({path, "--layout", "contiguous", "--method", "lasp2"});
  EXPECT_THAT(contiguous.out, AllOf(HasSubstr("lasp2      6168      6144"),
                                    Not(HasSubstr("layout"))));
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
      HasSubstr("use 16 ranks or fewer"));
  EXPECT_THAT(error({"--tokens", "2", "--ranks", "4"}), HasSubstr("2"));
}

TEST(SimulateTest, OneModelIsNamed) {
  EXPECT_THAT(Simulate({}).err, HasSubstr("name a job file or --preset"));
  EXPECT_THAT(Simulate({"--preset", "gpt"}).err,
              HasSubstr("preset 'gpt' is not known"));
  EXPECT_EQ(Simulate({"nosuch.yaml"}).code, 70);
}

TEST(SimulateTest, JsonHasEveryPointAndMethod) {
  const CommandOutput output =
      SimulatePreset({"--tokens", "1Mi", "--ranks", "64", "--method",
                      "lasp2,ulysses", "--json"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr("\"forward_bytes\": 1056964608"),
                                HasSubstr("\"fastest\": true"),
                                HasSubstr("\"refused\": \"ulysses gives")));
}

TEST(SimulateTest, ThePlotHasAxesAndALegend) {
  const std::string path = testing::TempDir() + "simulate.svg";
  const CommandOutput output =
      SimulatePreset({"--tokens", "16Ki..64Ki", "--ranks", "1..8", "--method",
                      "lasp2,all_scan", "--svg", path});
  ASSERT_EQ(output.code, 0) << output.err;
  std::stringstream svg;
  svg << std::ifstream(path).rdbuf();
  EXPECT_THAT(svg.str(),
              AllOf(StartsWith("<svg "), EndsWith("</svg>\n"),
                    HasSubstr(">lasp2</text>"), HasSubstr(">all_scan</text>"),
                    HasSubstr("time of a step, 64Ki tokens"),
                    HasSubstr("memory of a rank, 8 ranks"),
                    HasSubstr(">32Ki</text>"), HasSubstr(">1.00 s</text>")));
  EXPECT_THAT(svg.str(), Not(AnyOf(HasSubstr("nan"), HasSubstr("inf"))));
}

TEST(SimulateTest, AFileThatCannotBeWrittenIsNamed) {
  const CommandOutput output = SimulatePreset(
      {"--tokens", "1Mi", "--ranks", "4", "--svg", "/nosuch/a.svg"});
  EXPECT_EQ(output.code, 70);
  EXPECT_THAT(output.err, HasSubstr("cannot write '/nosuch/a.svg'"));
}

TEST(SimulateTest, PaperModeSaysWhereThePaperContradictsItself) {
  const CommandOutput output =
      SimulatePreset({"--tokens", "2Mi", "--ranks", "64", "--mode", "paper"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr("lasp2         32     16777216"),
                                HasSubstr("lasp1       2016   1056964608"),
                                HasSubstr("prints as OOM")));
  EXPECT_EQ(SimulatePreset({"--tokens", "2Mi", "--ranks", "64", "--mode",
                            "paper", "--json"})
                .code,
            2);
}

TEST(SimulateTest, ThousandRanksOverThreeLevels) {
  const CommandOutput output = SimulatePreset(
      {"--tokens", "4Mi", "--ranks", "1Ki", "--levels",
       "node:8:5us:300GB,site:512:20us:200GB,internet:all:30ms:1GB"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr("what breaks first, at 1024 ranks"),
                                HasSubstr("the slowest level, internet")));
}

// ---- Calibration.

std::string PointsFile(const std::string& points) {
  const std::string path = testing::TempDir() + "simulate_points.json";
  std::ofstream(path) << points;
  return path;
}

CommandOutput CalibrateOn(const std::string& points) {
  return Simulate({JobFile(), "--calibrate", PointsFile(points)});
}

std::string Measured(const char* method, int tokens, double seconds) {
  std::ostringstream point;
  point << "{\"method\": \"" << method
        << "\", \"ranks\": 4, \"tokens\": " << tokens
        << ", \"latency_s\": 0.001, "
        << "\"bandwidth_bytes_per_s\": 1e9, \"seconds\": " << seconds
        << ", \"rounds\": 5}";
  return point.str();
}

TEST(SimulateTest, PredictionsStandBesideMeasurements) {
  const std::string points = "{\"points\": [" + Measured("lasp2", 64, 0.5) +
                             "," + Measured("lasp2", 640, 0.9) + "," +
                             Measured("lasp1", 64, 0.25) + "]}";
  const CommandOutput output = CalibrateOn(points);
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out,
              AllOf(HasSubstr("+0.0 % *"), HasSubstr("worst: lasp1 at 64")));
}

TEST(SimulateTest, WrongPointsAreNamed) {
  const auto error = [](const std::string& points) {
    const CommandOutput output = CalibrateOn(points);
    EXPECT_EQ(output.code, 2);
    return output.err;
  };
  EXPECT_THAT(error("[1"), HasSubstr("is not a JSON object with a list"));
  EXPECT_THAT(error("{\"points\": [{}]}"),
              HasSubstr("points[0] has no \"method\""));
  EXPECT_THAT(error("{\"points\": [" + Measured("lasp3", 64, 1) + "]}"),
              HasSubstr("points[0] method 'lasp3' is not known"));
  EXPECT_THAT(error("{\"points\": [" + Measured("lasp2", 0, 1) + "]}"),
              HasSubstr("\"tokens\" is 0, not a count"));
  EXPECT_THAT(error("{\"points\": [{\"method\": \"lasp2\"}]}"),
              HasSubstr("has no \"ranks\""));
  EXPECT_THAT(error("{\"points\": [" + Measured("lasp2", 64, 1) + "]}"),
              HasSubstr("measure lasp2 at two lengths"));
}

TEST(SimulateTest, HelpShowsFlagsAndExamples) {
  const CommandOutput output = Simulate({"--help"});
  EXPECT_EQ(output.code, 0);
  EXPECT_THAT(output.out, AllOf(HasSubstr("--levels"), HasSubstr("Examples")));
}

}  // namespace
}  // namespace longspan::cli
