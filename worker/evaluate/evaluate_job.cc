#include "worker/evaluate/evaluate_job.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/job/run_agreement.h"
#include "worker/parallel/gradient_sync.h"
#include "worker/text_pass/text_pass.h"

namespace longspan::worker {
namespace {

absl::StatusOr<std::unique_ptr<TextPass>> StartPass(
    const EvaluateOptions& options, const EvaluateEnvironment& env) {
  if (env.text->size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("evaluate: the text has ", env.text->size(),
                     " tokens; at least 2 are needed to score one"));
  }
  return TextPass::Create(*env.model, env.context, *env.text,
                          {.tokens = env.text->size() - 1,
                           .piece_length = options.piece_length,
                           .score = true,
                           .context_tokens = env.text->size() - 1});
}

void Report(const EvaluateEnvironment& env, int64_t done,
            absl::Duration elapsed) {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  JobProgress progress;
  progress.done = done;
  progress.total = env.text->size() - 1;
  progress.unit = "tokens";
  progress.phase = "evaluating";
  progress.fraction = static_cast<double>(done) / progress.total;
  progress.tokens = done;
  if (seconds > 0.0) progress.tokens_per_second = done / seconds;
  progress.remaining =
      elapsed * ((1.0 - progress.fraction) / progress.fraction);
  env.reporter->Progress(progress);
}

// The sum over ranks, and what it says.
absl::StatusOr<Scores> SumScores(const EvaluateEnvironment& env,
                                 ScoreBoard& board, int64_t tokens) {
  const absl::Span<double> values = board.values();
  RETURN_IF_ERROR(SumOverRanks(
      env.context, kernels::TensorView(values.data(), kernels::DType::kF64,
                                       {static_cast<int64_t>(values.size())})));
  const Scores scores = board.Summarise(tokens - 1);
  if (scores.tokens == tokens - 1) return scores;
  return absl::InternalError(absl::StrCat("evaluate: scored ", scores.tokens,
                                          " tokens of ", tokens - 1));
}

absl::Status ScorePieces(const EvaluateEnvironment& env, TextPass& pass,
                         ScoreBoard& board) {
  const absl::Duration start = env.clock->Monotonic();
  RunAgreement agreement(env.context.group);
  while (!pass.done()) {
    const int64_t before = pass.tokens_done();
    agreement.Start(0.0, env.stop->requested());
    ASSIGN_OR_RETURN(const PieceScores piece, pass.RunPiece());
    for (size_t i = 0; i < piece.nll.size(); ++i) {
      board.Add(piece.first_position + static_cast<int64_t>(i), piece.nll[i]);
    }
    ASSIGN_OR_RETURN(const Agreed agreed, agreement.Finish());
    if (agreed.stop) return env.stop->AsStatus();
    if (env.context.rank() != 0) continue;
    Report(env, pass.tokens_done(), env.clock->Monotonic() - start);
    env.reporter->Metrics(
        {{.metric = MetricId::kTokensProcessed,
          .value = static_cast<double>(pass.tokens_done() - before),
          .labels = {{"kind", "evaluate"}}}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EvaluateOutcome> RunEvaluate(const EvaluateOptions& options,
                                            const EvaluateEnvironment& env) {
  ASSIGN_OR_RETURN(
      ScoreBoard board,
      ScoreBoard::Create(options.position_buckets, env.text->size()));
  ASSIGN_OR_RETURN(const std::unique_ptr<TextPass> pass,
                   StartPass(options, env));
  const absl::Duration start = env.clock->Monotonic();
  RETURN_IF_ERROR(ScorePieces(env, *pass, board));
  EvaluateOutcome outcome;
  ASSIGN_OR_RETURN(outcome.scores, SumScores(env, board, env.text->size()));
  const absl::Duration elapsed = env.clock->Monotonic() - start;
  if (elapsed > absl::ZeroDuration()) {
    outcome.tokens_per_second =
        outcome.scores.tokens / absl::ToDoubleSeconds(elapsed);
  }
  return outcome;
}

}  // namespace longspan::worker
