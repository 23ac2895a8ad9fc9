#include "common/job_spec/parse_job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "longspan/v1/job.pb.h"

namespace longspan {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kGood[] = R"(name: quickstart
resources: {ranks: 2, threads: 1}
train:
  model:
    hidden_size: 64
    layer_count: 3
    layer_pattern: LNL
    linear: {mixer: simple_gla, heads: 4, short_convolution: 4}
    softmax: {heads: 4, window: 64}
    mlp: {intermediate_size: 176}
  data: {uri: "corpus://train.txt", end: 300KiB}
  sequence_length: 1Ki
  max_duration: 1m30s
  optimizer: {learning_rate: 1e-2}
  schedule: {decay: wsd}
)";

std::vector<SpecViolation> ParseYaml(const std::string& text) {
  v1::JobSpec spec;
  return ParseJobSpec(text, "job.yaml", &spec);
}

auto At(int line, const std::string& path, const std::string& message) {
  return AllOf(Field("line", &SpecViolation::line, line),
               Field("path", &SpecViolation::path, path),
               Field("message", &SpecViolation::message, HasSubstr(message)));
}

// kGood with one line replaced.
std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ParseJobSpecTest, ReadsEveryKindOfValue) {
  v1::JobSpec spec;
  ASSERT_THAT(ParseJobSpec(kGood, "job.yaml", &spec), IsEmpty());
  EXPECT_EQ(spec.name(), "quickstart");
  EXPECT_EQ(spec.resources().ranks(), 2);
  const v1::TrainSpec& train = spec.train();
  EXPECT_EQ(train.model().linear().mixer(),
            v1::LinearAttentionSpec::SIMPLE_GLA);
  EXPECT_EQ(train.sequence_length(), 1024);
  EXPECT_EQ(train.data().end(), 300 * 1024);
  EXPECT_EQ(train.max_duration().seconds(), 90);
  EXPECT_DOUBLE_EQ(train.optimizer().learning_rate(), 0.01);
  EXPECT_EQ(train.schedule().decay(), v1::ScheduleSpec::WSD);
}

TEST(ParseJobSpecTest, WritesDefaultsIntoTheSpec) {
  v1::JobSpec spec;
  ASSERT_THAT(ParseJobSpec(kGood, "job.yaml", &spec), IsEmpty());
  EXPECT_EQ(spec.max_failures(), 3);
  EXPECT_EQ(spec.resources().backend(), "cpu");
  const v1::TrainSpec& train = spec.train();
  EXPECT_EQ(train.batch_size(), 1);
  EXPECT_DOUBLE_EQ(train.optimizer().beta2(), 0.95);
  EXPECT_EQ(train.model().linear().key_dim(), 16);
  EXPECT_EQ(train.model().vocabulary_size(), 256);
  EXPECT_EQ(train.precision(), v1::F32);
  EXPECT_EQ(train.checkpoint().keep_last(), 2);
}

TEST(ParseJobSpecTest, SixMistakesAreSixErrorsWithTheirLines) {
  EXPECT_THAT(
      ParseYaml(R"(name: six
resources:
  ranks: two
train:
  model:
    hiden_size: 64
    layer_count: 3
    layer_pattern: LXL
    linear: {mixer: simple_gal, heads: 4}
    softmax: {heads: 4}
  data: {uri: "corpus://train.txt"}
  sequence_length: 512
  max_duration: 60
  optimizer: {learning_rate: -1e-2}
)"),
      ElementsAre(
          At(3, "resources.ranks", "whole number, not 'two'"),
          At(6, "train.model.hiden_size", "did you mean 'hidden_size'"),
          At(8, "train.model.layer_pattern", "X"),
          At(9, "train.model.linear.mixer", "did you mean 'simple_gla'"),
          At(13, "train.max_duration", "unit"),
          At(14, "train.optimizer.learning_rate", "more than 0")));
}

TEST(ParseJobSpecTest, ColumnsPointAtTheValue) {
  auto violations = ParseYaml(With("ranks: 2", "ranks: 2.5"));
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].line, 2);
  EXPECT_EQ(violations[0].column, 20);
  EXPECT_EQ(FormatViolation("job.yaml", violations[0]),
            "job.yaml:2:20: resources.ranks: expects a whole number, not "
            "'2.5'");
}

TEST(ParseJobSpecTest, AmbiguousTokenCountsAreRefused) {
  EXPECT_THAT(ParseYaml(With("1Ki", "256K")),
              ElementsAre(At(12, "train.sequence_length",
                             "write 256Ki (262144) or 256000")));
}

TEST(ParseJobSpecTest, DuplicateKeysNameTheFirstLine) {
  EXPECT_THAT(ParseYaml(With("  sequence_length: 1Ki\n",
                             "  sequence_length: 8\n  sequence_length: 9\n")),
              ElementsAre(At(13, "train.sequence_length", "line 12")));
}

TEST(ParseJobSpecTest, TwoKindsConflict) {
  EXPECT_THAT(ParseYaml(std::string(kGood) + "evaluate: {}\n"),
              ElementsAre(At(16, "evaluate", "'train' is set already")));
}

TEST(ParseJobSpecTest, AMistypedKindIsOneError) {
  EXPECT_THAT(ParseYaml(With("train:", "trian:")),
              ElementsAre(At(3, "trian", "did you mean 'train'")));
}

TEST(ParseJobSpecTest, ModelsWithoutMaskAreRefusedByName) {
  for (const char* const key : {"causal: false", "bidirectional: true"}) {
    EXPECT_THAT(ParseYaml(With("layer_count: 3",
                               std::string("layer_count: 3\n    ") + key)),
                ElementsAre(AllOf(Field("line", &SpecViolation::line, 7),
                                  Field("message", &SpecViolation::message,
                                        HasSubstr("every layer is causal")))));
  }
}

TEST(ParseJobSpecTest, QuotedNumbersAreText) {
  EXPECT_THAT(ParseYaml(With("ranks: 2", "ranks: \"2\"")),
              ElementsAre(At(2, "resources.ranks", "the text '2'")));
}

TEST(ParseJobSpecTest, MapsAndListsAreNotMixedUp) {
  EXPECT_THAT(ParseYaml(With("{learning_rate: 1e-2}", "[1e-2]")),
              ElementsAre(At(14, "train.optimizer", "expects a map")));
}

TEST(ParseJobSpecTest, SyntaxErrorsHaveAPlace) {
  auto violations = ParseYaml("name: x\ntrain: {a: [}\n");
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].line, 2);
}

TEST(ParseJobSpecTest, SeveralDocumentsAreRefused) {
  EXPECT_THAT(ParseYaml(std::string(kGood) + "---\nname: b\n"),
              ElementsAre(At(17, "", "2 YAML documents")));
}

TEST(ParseJobSpecTest, DeepAndLargeTextsAreRefused) {
  EXPECT_FALSE(ParseYaml(std::string(100000, '[')).empty());
  EXPECT_FALSE(ParseYaml(std::string(2 << 20, ' ')).empty());
  v1::JobSpec spec;
  EXPECT_FALSE(ParseJobSpec(std::string(100000, '['), "a.json", &spec).empty());
}

TEST(ParseJobSpecTest, AliasesCannotExplode) {
  std::string text = "a: &a [x]\n";
  for (char c = 'b'; c < 'z'; ++c) {
    std::string last = "*" + std::string(1, static_cast<char>(c - 1));
    text += std::string(1, c) + ": &" + std::string(1, c) + " [" + last + "," +
            last + "," + last + "]\n";
  }
  EXPECT_THAT(ParseYaml(text), ElementsAre(At(0, "", "more than")));
}

TEST(ParseJobSpecTest, JsonErrorsHaveLinesToo) {
  v1::JobSpec spec;
  auto violations = ParseJobSpec(R"({
  "name": "six",
  "resources": {"ranks": 2,
                "thread": 1},
  "evaluate": {
    "model": {"job": "tenants/default/jobs/a", "step": -1
    },
    "data": {"uri": "corpus://x", "uri": "corpus://y"},
    "precision": "f46"
  }
})",
                                 "job.json", &spec);
  EXPECT_THAT(violations,
              ElementsAre(At(4, "resources.thread", "did you mean 'threads'"),
                          At(6, "evaluate.model.step", "at least 0, not -1"),
                          At(8, "evaluate.data.uri", "is set twice"),
                          At(9, "evaluate.precision", "did you mean 'f64'")));
  EXPECT_EQ(violations[0].column, 17);
}

TEST(ParseJobSpecTest, JsonSyntaxErrorsHaveAPlace) {
  v1::JobSpec spec;
  auto violations = ParseJobSpec("{\n  \"name\": tru\n}", "", &spec);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].line, 2);
}

TEST(ParseJobSpecTest, AnEmptyFileLacksAKind) {
  EXPECT_THAT(ParseYaml(""), ElementsAre(At(1, "kind", "write one")));
}

TEST(ParseJobSpecTest, EnvironmentIsLimited) {
  EXPECT_THAT(
      ParseYaml(std::string(kGood) + "env:\n  NCCL_DEBUG: INFO\n  PATH: x\n"),
      ElementsAre(At(18, "env.PATH", "NCCL_*")));
}

}  // namespace
}  // namespace longspan
