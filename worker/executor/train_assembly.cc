#include <utility>

#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "common/job_spec/layout_from_proto.h"
#include "common/job_spec/model_spec_from_proto.h"
#include "longspan/internal/executor.pb.h"
#include "worker/executor/executor_job.h"
#include "worker/executor/model_loader.h"
#include "worker/executor/open_text.h"
#include "worker/executor/proto_time.h"
#include "worker/train/train_job.h"

namespace longspan::worker {
namespace {

Decay DecayOf(v1::ScheduleSpec::Decay decay) {
  switch (decay) {
    case v1::ScheduleSpec::CONSTANT:
      return Decay::kConstant;
    case v1::ScheduleSpec::LINEAR:
      return Decay::kLinear;
    case v1::ScheduleSpec::WSD:
      return Decay::kWsd;
    default:
      return Decay::kCosine;
  }
}

LearningRateSchedule ScheduleOf(const v1::TrainSpec& spec) {
  LearningRateSchedule schedule;
  schedule.peak = spec.optimizer().learning_rate();
  schedule.warmup_steps = spec.schedule().warmup_steps();
  schedule.decay = DecayOf(spec.schedule().decay());
  if (spec.schedule().has_min_ratio()) {
    schedule.min_ratio = spec.schedule().min_ratio();
  }
  if (spec.schedule().has_decay_ratio()) {
    schedule.decay_ratio = spec.schedule().decay_ratio();
  }
  return schedule;
}

AdamWSettings SettingsOf(const v1::OptimizerSpec& spec) {
  AdamWSettings settings;
  if (spec.has_beta1()) settings.adamw.beta1 = spec.beta1();
  if (spec.has_beta2()) settings.adamw.beta2 = spec.beta2();
  if (spec.has_epsilon()) settings.adamw.epsilon = spec.epsilon();
  if (spec.has_weight_decay()) settings.weight_decay = spec.weight_decay();
  if (spec.has_clip_norm()) settings.clip_norm = spec.clip_norm();
  return settings;
}

absl::StatusOr<TrainCheckpointOptions> CheckpointOptionsOf(
    const JobParts& parts) {
  const v1::Assignment& assignment = parts.assignment->assignment();
  const v1::TrainSpec& spec = assignment.spec().train();
  TrainCheckpointOptions options = {.job = assignment.key().job(),
                                    .attempt = assignment.key().attempt(),
                                    .seed = spec.seed(),
                                    .build = BuildStamp()};
  ASSIGN_OR_RETURN(options.directory,
                   ResolveRootUri(parts.roots, assignment.checkpoint_uri()));
  ASSIGN_OR_RETURN(options.model, DescribeModel(spec.model()));
  if (spec.checkpoint().keep_last() > 0) {
    options.keep_last = spec.checkpoint().keep_last();
  }
  return options;
}

absl::StatusOr<TrainOptions> OptionsOf(const JobParts& parts) {
  const v1::Assignment& assignment = parts.assignment->assignment();
  const v1::TrainSpec& spec = assignment.spec().train();
  TrainOptions options = {
      .sequence_length = spec.sequence_length(),
      .batch_size = std::max(spec.batch_size(), 1),
      .length = {.steps = spec.steps(),
                 .max_duration = ReadDuration(spec.max_duration())},
      .optimizer = SettingsOf(spec.optimizer()),
      .schedule = ScheduleOf(spec),
      .validation_interval = spec.validation_interval(),
      .checkpoint_interval = spec.checkpoint().interval(),
      .report_interval = std::max<int64_t>(spec.report_interval(), 1),
      .seed = spec.seed()};
  ASSIGN_OR_RETURN(options.layout, PlannedLayout(spec.layout()));
  ASSIGN_OR_RETURN(options.checkpoint, CheckpointOptionsOf(parts));
  if (spec.has_initial_model()) {
    const std::string& uri = assignment.model_uri().empty()
                                 ? spec.initial_model().uri()
                                 : assignment.model_uri();
    ASSIGN_OR_RETURN(
        const std::unique_ptr<CheckpointReader> initial,
        OpenCheckpoint(parts.roots, uri, spec.initial_model().step()));
    options.initial_model = initial->path();
  }
  return options;
}

class TrainExecutorJob final : public ExecutorJob {
 public:
  explicit TrainExecutorJob(const JobParts& parts) : parts_(parts) {}

  absl::Status Prepare() {
    const v1::TrainSpec& spec = parts_.assignment->assignment().spec().train();
    ASSIGN_OR_RETURN(text_, OpenText(parts_.roots, spec.data()));
    if (spec.has_validation()) {
      ASSIGN_OR_RETURN(validation_, OpenText(parts_.roots, spec.validation()));
    }
    ASSIGN_OR_RETURN(const TrainOptions options, OptionsOf(parts_));
    parts_.memory->Restart();
    ASSIGN_OR_RETURN(
        job_, TrainJob::Create(options, {.model = ResolveDefaults(
                                             ModelSpecFromProto(spec.model())),
                                         .context = parts_.context,
                                         .text = text_.get(),
                                         .validation = validation_.get(),
                                         .stop = parts_.stop,
                                         .reporter = parts_.reporter,
                                         .clock = parts_.clock}));
    return absl::OkStatus();
  }

  int64_t resumed_step() const override { return job_->step(); }

  absl::Status Run(v1::JobResult* result) override {
    ASSIGN_OR_RETURN(const TrainOutcome outcome, job_->Run());
    v1::TrainResult* train = result->mutable_train();
    train->set_steps(outcome.position.step);
    train->set_tokens(outcome.position.tokens);
    train->set_loss(outcome.position.loss);
    train->set_validation_loss(outcome.validation_loss);
    train->set_checkpoint_uri(parts_.assignment->assignment().checkpoint_uri());
    train->set_parameter_digest(outcome.checkpoint.parameter_digest);
    train->set_tokens_per_second(outcome.tokens_per_second);
    train->set_skipped_steps(outcome.position.skipped);
    return absl::OkStatus();
  }

 private:
  const JobParts parts_;
  std::unique_ptr<TokenSource> text_;
  std::unique_ptr<TokenSource> validation_;
  std::unique_ptr<TrainJob> job_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleTrain(
    const JobParts& parts) {
  auto job = std::make_unique<TrainExecutorJob>(parts);
  RETURN_IF_ERROR(job->Prepare());
  return job;
}

}  // namespace longspan::worker
