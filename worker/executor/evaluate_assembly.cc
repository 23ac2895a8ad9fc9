#include "common/base/status_macros.h"
#include "longspan/internal/executor.pb.h"
#include "worker/evaluate/evaluate_job.h"
#include "worker/executor/executor_job.h"
#include "worker/executor/model_loader.h"
#include "worker/executor/open_text.h"

namespace longspan::worker {
namespace {

void WriteScores(const EvaluateOutcome& from, v1::EvaluateResult* to) {
  to->set_tokens(from.scores.tokens);
  to->set_loss(from.scores.loss);
  to->set_perplexity(from.scores.perplexity);
  to->set_bits_per_byte(from.scores.bits_per_byte);
  to->set_tokens_per_second(from.tokens_per_second);
  for (const BucketScore& score : from.scores.buckets) {
    v1::PositionBucket* bucket = to->add_buckets();
    bucket->set_begin(score.begin);
    bucket->set_end(score.end);
    bucket->set_tokens(score.tokens);
    bucket->set_loss(score.loss);
  }
}

class EvaluateExecutorJob final : public ExecutorJob {
 public:
  explicit EvaluateExecutorJob(const JobParts& parts)
      : parts_(parts),
        spec_(parts.assignment->assignment().spec().evaluate()) {}

  absl::Status Prepare() {
    ASSIGN_OR_RETURN(text_, OpenText(parts_.roots, spec_.data()));
    ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> checkpoint,
                     OpenCheckpoint(parts_.roots,
                                    parts_.assignment->assignment().model_uri(),
                                    spec_.model().step()));
    parts_.memory->Restart();
    ASSIGN_OR_RETURN(model_, LoadModel(*checkpoint, parts_.context));
    return absl::OkStatus();
  }

  absl::Status Run(v1::JobResult* result) override {
    EvaluateOptions options = {
        .position_buckets = {spec_.position_buckets().begin(),
                             spec_.position_buckets().end()}};
    if (spec_.piece_length() > 0) options.piece_length = spec_.piece_length();
    ASSIGN_OR_RETURN(const EvaluateOutcome outcome,
                     RunEvaluate(options, {.model = model_.model.get(),
                                           .context = parts_.context,
                                           .text = text_.get(),
                                           .stop = parts_.stop,
                                           .reporter = parts_.reporter,
                                           .clock = parts_.clock}));
    WriteScores(outcome, result->mutable_evaluate());
    return absl::OkStatus();
  }

 private:
  const JobParts parts_;
  const v1::EvaluateSpec& spec_;
  std::unique_ptr<TokenSource> text_;
  LoadedModel model_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleEvaluate(
    const JobParts& parts) {
  auto job = std::make_unique<EvaluateExecutorJob>(parts);
  RETURN_IF_ERROR(job->Prepare());
  return job;
}

}  // namespace longspan::worker
