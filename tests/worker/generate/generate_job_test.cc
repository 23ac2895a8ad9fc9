#include "worker/generate/generate_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "common/base/status_macros.h"
#include "tests/support/job/recording_reporter.h"
#include "tests/support/job/test_rank.h"
#include "tests/support/thread_world.h"
#include "worker/generate/decoder.h"

namespace longspan::worker {
namespace {

using longspan::testing::RecordingReporter;
using longspan::testing::RunThreadWorld;
using longspan::testing::TestRank;
using longspan::testing::TinyModel;
using longspan::testing::TinyText;
using ::testing::HasSubstr;

struct JobRun {
  GenerateOutcome outcome;
  RecordingReporter reporter;  // rank 0's
};

absl::Status Generate(const std::string& prompt, int ranks,
                      const GenerateOptions& options, StopRequest& stop,
                      JobRun& run,
                      kernels::DType dtype = kernels::DType::kF64) {
  const ModelSpec spec = TinyModel("LLN", LinearMixer::kSimpleGla);
  const auto source = TokenSource::FromText(prompt, "prompt");
  return RunThreadWorld(ranks, [&](ProcessGroup& group) {
    const TestRank rank(ranks == 1 ? nullptr : &group, dtype);
    ASSIGN_OR_RETURN(const auto parameters,
                     Parameters::Create(rank.context(), spec, false));
    RETURN_IF_ERROR(parameters->Initialize(11));
    Model model(spec, *parameters);
    RecordingReporter other;
    ASSIGN_OR_RETURN(
        GenerateOutcome outcome,
        RunGenerate(options,
                    {.model = &model,
                     .context = rank.context(),
                     .prompt = source.get(),
                     .stop = &stop,
                     .reporter = group.rank() == 0 ? &run.reporter : &other,
                     .clock = &SystemClock::Get()}));
    if (group.rank() == 0) {
      run.outcome = std::move(outcome);
    } else {
      EXPECT_TRUE(outcome.token_ids.empty());
      EXPECT_TRUE(other.tokens.empty());
    }
    return absl::OkStatus();
  });
}

GenerateOptions Greedy(int64_t tokens) {
  return {.max_new_tokens = tokens, .sampling = {.temperature = 0.0}};
}

TEST(GenerateJobTest, RanksAndPiecesGiveTheSameGreedyTokens) {
  const std::string prompt = TinyText(97);
  for (kernels::DType dtype : {kernels::DType::kF64, kernels::DType::kF32}) {
    StopRequest stop;
    JobRun one;
    ASSERT_TRUE(Generate(prompt, 1, Greedy(40), stop, one, dtype).ok());
    ASSERT_EQ(one.outcome.token_ids.size(), 40u);
    EXPECT_EQ(one.outcome.finish_reason, "length");
    for (int64_t piece_length : {1000, 10}) {
      GenerateOptions options = Greedy(40);
      options.piece_length = piece_length;
      JobRun three;
      ASSERT_TRUE(Generate(prompt, 3, options, stop, three, dtype).ok());
      EXPECT_EQ(three.outcome.token_ids, one.outcome.token_ids);
    }
  }
}

TEST(GenerateJobTest, PromptsOfOneAndTwoTokensWork) {
  for (const char* prompt : {"a", "ab"}) {
    StopRequest stop;
    JobRun one;
    JobRun three;
    ASSERT_TRUE(Generate(prompt, 1, Greedy(8), stop, one).ok());
    ASSERT_TRUE(Generate(prompt, 3, Greedy(8), stop, three).ok());
    EXPECT_EQ(three.outcome.token_ids, one.outcome.token_ids);
  }
}

TEST(GenerateJobTest, StreamsWhatItReturnsAndMeasures) {
  StopRequest stop;
  JobRun run;
  GenerateOptions options = {
      .max_new_tokens = 70, .sampling = {.seed = 5}, .log_probabilities = true};
  ASSERT_TRUE(Generate("The cat ", 2, options, stop, run).ok());
  ASSERT_EQ(run.reporter.tokens.size(), 70u);
  std::string streamed;
  for (size_t i = 0; i < run.reporter.tokens.size(); ++i) {
    const GeneratedToken& token = run.reporter.tokens[i];
    EXPECT_EQ(token.id, run.outcome.token_ids[i]);
    ASSERT_TRUE(token.log_probability.has_value());
    EXPECT_LE(*token.log_probability, 0.0);
    streamed += token.text;
  }
  EXPECT_EQ(streamed, run.outcome.text);
  EXPECT_EQ(run.outcome.generated_tokens, 70);
  EXPECT_EQ(run.reporter.Total(MetricId::kGeneratedTokens), 70.0);
  EXPECT_EQ(run.reporter.Total(MetricId::kPromptTokens), 8.0);
  EXPECT_GT(run.outcome.time_to_first_token, absl::ZeroDuration());
}

TEST(GenerateJobTest, AStopStringEndsTheTextBeforeIt) {
  StopRequest stop;
  JobRun whole;
  ASSERT_TRUE(Generate("The cat ", 1, Greedy(30), stop, whole).ok());
  const std::string text = whole.outcome.text;
  GenerateOptions options = Greedy(30);
  options.stop = {text.substr(12, 3)};
  const size_t at = text.find(options.stop[0]);
  JobRun run;
  ASSERT_TRUE(Generate("The cat ", 2, options, stop, run).ok());
  EXPECT_EQ(run.outcome.finish_reason, "stop");
  EXPECT_EQ(run.outcome.text, text.substr(0, at));
  EXPECT_EQ(run.outcome.generated_tokens, static_cast<int64_t>(at + 3));
  EXPECT_EQ(run.reporter.tokens.size(), at);
}

TEST(GenerateJobTest, PromptLogProbabilitiesDoNotDependOnRanks) {
  GenerateOptions options = Greedy(1);
  options.prompt_log_probabilities = true;
  const std::string prompt = TinyText(50);
  StopRequest stop;
  JobRun one;
  ASSERT_TRUE(Generate(prompt, 1, options, stop, one).ok());
  options.piece_length = 9;
  JobRun three;
  ASSERT_TRUE(Generate(prompt, 3, options, stop, three).ok());
  ASSERT_EQ(one.outcome.prompt_log_probabilities.size(), 49u);
  for (size_t i = 0; i < 49; ++i) {
    const double value = one.outcome.prompt_log_probabilities[i];
    EXPECT_LT(value, 0.0);
    EXPECT_NEAR(three.outcome.prompt_log_probabilities[i], value, 1e-10);
  }
}

TEST(GenerateJobTest, AStopRequestEndsAllRanks) {
  StopRequest stop;
  JobRun run;
  run.reporter.on_tokens = [&] { stop.Request("cancelled"); };
  const absl::Status status = Generate("abcdefgh", 3, Greedy(1000), stop, run);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(run.reporter.tokens.size(), 1u);
}

TEST(GenerateJobTest, AFailureOfTheLeaderWakesTheWaitingRanks) {
  const auto prompt = TokenSource::FromText("abcdefgh", "prompt");
  const ModelSpec spec = TinyModel("L", LinearMixer::kBasic);
  StopRequest stop;
  const absl::Status status = RunThreadWorld(3, [&](ProcessGroup& group) {
    const TestRank rank(&group);
    ASSIGN_OR_RETURN(const auto parameters,
                     Parameters::Create(rank.context(), spec, false));
    RETURN_IF_ERROR(parameters->Initialize(1));
    if (group.rank() == 0) {
      // A head that is not a number: the prompt is read, decoding fails.
      parameters->Value("lm_head.weight").data_as<double>()[0] =
          std::numeric_limits<double>::quiet_NaN();
    }
    Model model(spec, *parameters);
    RecordingReporter reporter;
    return RunGenerate(Greedy(4), {.model = &model,
                                   .context = rank.context(),
                                   .prompt = prompt.get(),
                                   .stop = &stop,
                                   .reporter = &reporter,
                                   .clock = &SystemClock::Get()})
        .status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("logit"));
}

TEST(GenerateJobTest, RefusesWhatCannotBeGenerated) {
  StopRequest stop;
  JobRun run;
  EXPECT_THAT(std::string(Generate("", 1, Greedy(1), stop, run).message()),
              HasSubstr("the prompt is empty"));
  EXPECT_THAT(std::string(Generate("a", 1, Greedy(-1), stop, run).message()),
              HasSubstr("max_new_tokens -1"));
  GenerateOptions options = Greedy(1);
  options.prompt_log_probabilities = true;
  EXPECT_THAT(
      std::string(
          Generate(std::string(70000, 'x'), 1, options, stop, run).message()),
      HasSubstr("the limit is 65536"));
}

}  // namespace
}  // namespace longspan::worker
