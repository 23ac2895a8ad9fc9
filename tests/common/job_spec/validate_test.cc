#include "common/job_spec/validate.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "common/job_spec/check_uri.h"
#include "common/job_spec/defaults.h"
#include "longspan/v1/job.pb.h"

namespace longspan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Paths of the mistakes in a spec given as text format, with `more` merged
// into it, defaults resolved.
std::vector<std::string> Mistakes(const std::string& text,
                                  const std::string& more = "") {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec));
  v1::JobSpec merged;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(more, &merged));
  spec.MergeFrom(merged);
  ResolveDefaults(&spec);
  std::vector<std::string> paths;
  for (const SpecViolation& violation : ValidateSpec(spec)) {
    paths.push_back(violation.path);
  }
  return paths;
}

std::string Train(const std::string& more) {
  return R"(train {
    model { hidden_size: 64 layer_count: 1 layer_pattern: "L"
            linear { heads: 4 } }
    data { uri: "corpus://a" } optimizer { learning_rate: 0.01 }
    sequence_length: 8 )" +
         more + " }";
}

TEST(ValidateSpecTest, AcceptsAMinimalTrainJob) {
  EXPECT_THAT(Mistakes(Train("steps: 1")), IsEmpty());
}

TEST(ValidateSpecTest, TrainNeedsAnEnd) {
  EXPECT_THAT(Mistakes(Train("")), ElementsAre("train.steps"));
}

TEST(ValidateSpecTest, EveryRankNeedsAToken) {
  EXPECT_THAT(Mistakes(Train("steps: 1") + "resources { ranks: 9 }"),
              ElementsAre("train.sequence_length"));
}

TEST(ValidateSpecTest, ReplicasDivideRanksAndBatch) {
  const std::string spec = "steps: 1 batch_size: 4 data_parallel: 2";
  EXPECT_THAT(Mistakes(Train(spec) + "resources { ranks: 16 }"), IsEmpty());
  EXPECT_THAT(Mistakes(Train(spec) + "resources { ranks: 18 }"),
              ElementsAre("train.sequence_length"));
  EXPECT_THAT(Mistakes(Train(spec) + "resources { ranks: 3 }"),
              ElementsAre("train.data_parallel"));
  EXPECT_THAT(Mistakes(Train("steps: 1 batch_size: 3 data_parallel: 2") +
                       "resources { ranks: 2 }"),
              ElementsAre("train.data_parallel"));
  EXPECT_THAT(
      Mistakes(Train(spec) + R"(resources { ranks: 2 backend: "cuda" })"),
      ElementsAre("train.data_parallel"));
}

TEST(ValidateSpecTest, CudaRefusesMixersThatItLacks) {
  const std::string based = "train { model { linear { mixer: BASED } } }";
  EXPECT_THAT(Mistakes(Train("steps: 1"), based), IsEmpty());
  EXPECT_THAT(
      Mistakes(Train("steps: 1"), based + R"(resources { backend: "cuda" })"),
      ElementsAre("train.model.linear.feature_map",
                  "train.model.linear.normaliser"));
}

// Open enums carry any number over the wire.
TEST(ValidateSpecTest, AnUnknownMethodIsRefused) {
  EXPECT_THAT(Mistakes(Train("steps: 1 sequence_parallel: ALL_SCAN")),
              IsEmpty());
  EXPECT_THAT(Mistakes(Train("steps: 1 sequence_parallel: ULYSSES")),
              IsEmpty());
  EXPECT_THAT(Mistakes(Train("steps: 1 sequence_parallel: 99")),
              ElementsAre("train.sequence_parallel"));
}

TEST(ValidateSpecTest, HeadsAndRowsTravelOnTheCpu) {
  for (const char* method : {"ULYSSES", "RING"}) {
    const std::string train = std::string("steps: 1 sequence_parallel: ");
    EXPECT_THAT(Mistakes(Train(train + method)), IsEmpty());
    EXPECT_THAT(
        Mistakes(Train(train + method), R"(resources { backend: "cuda" })"),
        ElementsAre("train.sequence_parallel"));
  }
}

TEST(ValidateSpecTest, CutHeadsServeTrainingOnTheCpu) {
  const std::string line = "sequence_parallel: MEGATRON_SP";
  EXPECT_THAT(Mistakes(Train("steps: 1 " + line)), IsEmpty());
  EXPECT_THAT(
      Mistakes(Train("steps: 1 " + line), R"(resources { backend: "cuda" })"),
      ElementsAre("train.sequence_parallel"));
  const std::string model = R"(model { uri: "outputs://a/b" } )";
  EXPECT_THAT(Mistakes("evaluate { data { uri: \"corpus://a\" } " + model +
                       line + " }"),
              ElementsAre("evaluate.sequence_parallel"));
}

TEST(ValidateSpecTest, LeftProductsServeTrainingOnTheCpuWithADecayPerHead) {
  const std::string line = "sequence_parallel: RING_LEFT";
  const std::string cuda = R"(resources { backend: "cuda" })";
  const std::string model = R"(model { uri: "outputs://a/b" } )";
  EXPECT_THAT(Mistakes(Train("steps: 1 " + line)), IsEmpty());
  EXPECT_THAT(Mistakes(Train("steps: 1 " + line), cuda),
              ElementsAre("train.sequence_parallel"));
  EXPECT_THAT(Mistakes(Train("steps: 1 layout: ZIGZAG " + line)),
              ElementsAre("train.layout"));
  EXPECT_THAT(Mistakes("evaluate { data { uri: \"corpus://a\" } " + model +
                       line + " }"),
              ElementsAre("evaluate.sequence_parallel"));
  EXPECT_THAT(Mistakes("generate { text: \"a\" max_new_tokens: 1 " + model +
                       line + " }"),
              ElementsAre("generate.sequence_parallel"));
  const auto with = [&](const std::string& mixer, const std::string& method) {
    return Mistakes(Train("steps: 1 sequence_parallel: " + method),
                    "train { model { linear { short_convolution: 4 mixer: " +
                        mixer + " } } }");
  };
  for (const char* const mixer : {"BASIC", "LIGHTNING", "SIMPLE_GLA"}) {
    EXPECT_THAT(with(mixer, "RING_LEFT"), IsEmpty()) << mixer;
  }
  for (const char* const mixer : {"GLA", "DELTANET", "KDA"}) {
    EXPECT_THAT(with(mixer, "RING"), IsEmpty()) << mixer;
    EXPECT_THAT(with(mixer, "RING_LEFT"),
                ElementsAre("train.sequence_parallel"))
        << mixer;
  }
}

TEST(ValidateSpecTest, OnlyGatherServesMoreThanTrainingOnTheCpu) {
  EXPECT_THAT(Mistakes(Train("steps: 1 softmax_sequence_parallel: 99")),
              ElementsAre("train.softmax_sequence_parallel"));
  const std::string model = R"(model { uri: "outputs://a/b" } )";
  for (const std::string method : {"RING", "ULYSSES", "MEGATRON_SP"}) {
    SCOPED_TRACE(method);
    const std::string line = "softmax_sequence_parallel: " + method;
    EXPECT_THAT(Mistakes(Train("steps: 1 " + line)), IsEmpty());
    EXPECT_THAT(
        Mistakes(Train("steps: 1 " + line), R"(resources { backend: "cuda" })"),
        ElementsAre("train.softmax_sequence_parallel"));
    EXPECT_THAT(Mistakes("evaluate { data { uri: \"corpus://a\" } " + model +
                         line + " }"),
                ElementsAre("evaluate.softmax_sequence_parallel"));
    EXPECT_THAT(Mistakes("generate { text: \"a\" max_new_tokens: 1 " + model +
                         line + " }"),
                ElementsAre("generate.softmax_sequence_parallel"));
  }
}

TEST(ValidateSpecTest, ZigzagRunsOrIsRefusedByName) {
  const std::string zigzag = "steps: 1 layout: ZIGZAG ";
  const std::string cuda = R"(resources { backend: "cuda" })";
  EXPECT_THAT(Mistakes(Train(zigzag)), IsEmpty());
  EXPECT_THAT(Mistakes(Train(zigzag), cuda), ElementsAre("train.layout"));
  for (const char* const other :
       {"sequence_parallel: LASP1", "sequence_parallel: SCAN",
        "sequence_parallel: ALL_SCAN", "sequence_parallel: LASP1_SERIAL",
        "sequence_parallel: ULYSSES", "softmax_sequence_parallel: RING"}) {
    SCOPED_TRACE(other);
    EXPECT_THAT(Mistakes(Train(zigzag + other)), ElementsAre("train.layout"));
    EXPECT_THAT(Mistakes(Train(std::string("steps: 1 layout: AUTO ") + other)),
                IsEmpty());
    EXPECT_THAT(
        Mistakes(Train(std::string("steps: 1 layout: CONTIGUOUS ") + other)),
        IsEmpty());
  }
  EXPECT_THAT(Mistakes(Train("steps: 1 layout: AUTO"), cuda), IsEmpty());
  EXPECT_THAT(Mistakes(Train("steps: 1 layout: 99")),
              ElementsAre("train.layout"));
}

TEST(ValidateSpecTest, GathersRunOrAreRefusedByName) {
  const std::string bf16 = "steps: 1 state_exchange_precision: BF16 ";
  const std::string splits = "steps: 1 state_exchange_splits: 4 ";
  const std::string cuda = R"(resources { backend: "cuda" })";
  EXPECT_THAT(Mistakes(Train(bf16)), IsEmpty());
  EXPECT_THAT(Mistakes(Train(splits + "layout: ZIGZAG")), IsEmpty());
  EXPECT_THAT(Mistakes(Train(bf16), cuda),
              ElementsAre("train.state_exchange_precision"));
  EXPECT_THAT(Mistakes(Train(splits), cuda),
              ElementsAre("train.state_exchange_splits"));
  for (const char* const other :
       {"LASP1", "LASP1_SERIAL", "ALL_SCAN", "SCAN", "ULYSSES", "RING",
        "RING_LEFT", "MEGATRON_SP"}) {
    SCOPED_TRACE(other);
    const std::string method = std::string("sequence_parallel: ") + other;
    EXPECT_THAT(Mistakes(Train(bf16 + method)),
                ElementsAre("train.state_exchange_precision"));
    EXPECT_THAT(Mistakes(Train(splits + method)),
                ElementsAre("train.state_exchange_splits"));
  }
  for (const char* const states : {"F32", "BF16"}) {
    EXPECT_THAT(Mistakes(Train(std::string("steps: 1 precision: F64 "
                                           "state_exchange_precision: ") +
                               states)),
                ElementsAre("train.state_exchange_precision"));
  }
  EXPECT_THAT(Mistakes(Train("steps: 1 state_exchange_precision: F64")),
              ElementsAre("train.state_exchange_precision"));
  EXPECT_THAT(Mistakes(Train("steps: 1 state_exchange_splits: 1025")),
              ElementsAre("train.state_exchange_splits"));
}

TEST(ValidateSpecTest, WarmupFitsTheSteps) {
  EXPECT_THAT(Mistakes(Train("steps: 5 schedule { warmup_steps: 6 }")),
              ElementsAre("train.schedule.warmup_steps"));
}

TEST(ValidateSpecTest, TypedSpecsAreRangeChecked) {
  EXPECT_THAT(Mistakes(Train("steps: -1"),
                       "train { optimizer { beta1: 1.0 epsilon: nan } }"),
              ElementsAre("train.steps", "train.optimizer.beta1",
                          "train.optimizer.epsilon"));
}

TEST(ValidateSpecTest, ValidationIntervalNeedsText) {
  EXPECT_THAT(Mistakes(Train("steps: 1 validation_interval: 5")),
              ElementsAre("train.validation_interval"));
}

TEST(ValidateSpecTest, DataRangesAreOrdered) {
  EXPECT_THAT(Mistakes(Train("steps: 1"), "train { data { begin: 5 end: 5 } }"),
              ElementsAre("train.data.end"));
}

TEST(ValidateSpecTest, EvaluateNeedsModelAndText) {
  EXPECT_THAT(Mistakes("evaluate { position_buckets: [8, 8] }"),
              ElementsAre("evaluate.model", "evaluate.data.uri",
                          "evaluate.position_buckets[1]"));
}

TEST(ValidateSpecTest, GenerateChecksPromptAndSampling) {
  EXPECT_THAT(
      Mistakes(R"(generate { model { uri: "models://m" step: 2 }
                  token_ids { ids: [1, 300] } max_new_tokens: 4
                  sampling { top_p: 0 stop: "" } })"),
      ElementsAre("generate.sampling.top_p", "generate.model.step",
                  "generate.token_ids.ids[1]", "generate.sampling.stop[0]"));
}

TEST(ValidateSpecTest, DefaultsAreIdempotent) {
  v1::JobSpec spec;
  ASSERT_TRUE(
      google::protobuf::TextFormat::ParseFromString(Train("steps: 1"), &spec));
  ResolveDefaults(&spec);
  v1::JobSpec again = spec;
  ResolveDefaults(&again);
  EXPECT_EQ(again.DebugString(), spec.DebugString());
}

TEST(CheckUriTest, PathsStayBeneathTheirRoot) {
  EXPECT_TRUE(CheckRootUri("corpus://a/b..c.txt").ok());
  for (const char* bad : {"a.txt", "corpus://", "corpus:///etc/passwd",
                          "corpus://a/../b", "corpus://a%2e", "corpus://a\\b",
                          "Corpus://a", "://a", "corpus://a\nb"}) {
    EXPECT_FALSE(CheckRootUri(bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckRootUri("a://" + std::string(3000, 'x')).ok());
}

TEST(CheckUriTest, JobNames) {
  EXPECT_TRUE(CheckJobName("tenants/default/jobs/j-1").ok());
  EXPECT_FALSE(CheckJobName("jobs/j-1").ok());
  EXPECT_FALSE(CheckJobName("tenants/a/jobs/").ok());
}

}  // namespace
}  // namespace longspan
