#include "worker/evaluate/evaluate_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "tests/support/job/recording_reporter.h"
#include "tests/support/job/test_rank.h"
#include "tests/support/thread_world.h"

namespace longspan::worker {
namespace {

using longspan::testing::RecordingReporter;
using longspan::testing::RunThreadWorld;
using longspan::testing::TestRank;
using longspan::testing::TinyModel;
using longspan::testing::TinyText;
using ::testing::HasSubstr;

struct JobRun {
  EvaluateOutcome outcome;
  RecordingReporter reporter;  // rank 0's
};

// Evaluates a seeded model on `ranks` ranks; `on_piece` may ask for a stop.
absl::Status Evaluate(const std::string& text, int ranks,
                      const EvaluateOptions& options, StopRequest& stop,
                      JobRun& run) {
  const ModelSpec spec = TinyModel("LLN", LinearMixer::kSimpleGla);
  const auto source = TokenSource::FromText(text, "test");
  return RunThreadWorld(ranks, [&](ProcessGroup& group) {
    const TestRank rank(ranks == 1 ? nullptr : &group);
    ASSIGN_OR_RETURN(const auto parameters,
                     Parameters::Create(rank.context(), spec, false));
    RETURN_IF_ERROR(parameters->Initialize(3));
    Model model(spec, *parameters);
    RecordingReporter other;
    ASSIGN_OR_RETURN(
        EvaluateOutcome outcome,
        RunEvaluate(options,
                    {.model = &model,
                     .context = rank.context(),
                     .text = source.get(),
                     .stop = &stop,
                     .reporter = group.rank() == 0 ? &run.reporter : &other,
                     .clock = &SystemClock::Get()}));
    if (group.rank() == 0) run.outcome = std::move(outcome);
    return absl::OkStatus();
  });
}

TEST(EvaluateJobTest, ResultDoesNotDependOnPiecesAndRanks) {
  const std::string text = TinyText(200);
  StopRequest stop;
  JobRun whole;
  ASSERT_TRUE(Evaluate(text, 1, {.piece_length = 1000}, stop, whole).ok());
  EXPECT_EQ(whole.outcome.scores.tokens, 199);
  // A random model is about as good as a uniform one.
  EXPECT_NEAR(whole.outcome.scores.bits_per_byte, 8.0, 2.0);
  for (int ranks : {1, 2, 3}) {
    for (int64_t piece_length : {16, 50}) {
      JobRun pieces;
      ASSERT_TRUE(
          Evaluate(text, ranks, {.piece_length = piece_length}, stop, pieces)
              .ok());
      const Scores& scores = pieces.outcome.scores;
      EXPECT_EQ(scores.tokens, 199);
      EXPECT_NEAR(scores.loss, whole.outcome.scores.loss, 1e-10);
      ASSERT_EQ(scores.buckets.size(), whole.outcome.scores.buckets.size());
      for (size_t i = 0; i < scores.buckets.size(); ++i) {
        EXPECT_NEAR(scores.buckets[i].loss,
                    whole.outcome.scores.buckets[i].loss, 1e-10);
      }
    }
  }
}

TEST(EvaluateJobTest, ReportsProgressAndTokens) {
  StopRequest stop;
  JobRun run;
  ASSERT_TRUE(Evaluate(TinyText(101), 2, {.piece_length = 25}, stop, run).ok());
  ASSERT_EQ(run.reporter.progress.size(), 4u);
  EXPECT_EQ(run.reporter.progress[0].done, 25);
  EXPECT_EQ(run.reporter.progress[0].total, 100);
  EXPECT_DOUBLE_EQ(run.reporter.progress[1].fraction, 0.5);
  EXPECT_EQ(run.reporter.progress[3].done, 100);
  EXPECT_EQ(run.reporter.Total(MetricId::kTokensProcessed), 100.0);
}

TEST(EvaluateJobTest, AStopEndsAllRanks) {
  StopRequest stop;
  JobRun run;
  run.reporter.on_progress = [&](const JobProgress&) {
    stop.Request("enough");
  };
  const absl::Status status =
      Evaluate(TinyText(400), 2, {.piece_length = 20}, stop, run);
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(status.message()), HasSubstr("enough"));
  EXPECT_LE(run.reporter.progress.size(), 3u);
}

TEST(EvaluateJobTest, RefusesATextWithNothingToScore) {
  StopRequest stop;
  JobRun run;
  const absl::Status status = Evaluate("x", 1, {}, stop, run);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("at least 2"));
}

}  // namespace
}  // namespace longspan::worker
