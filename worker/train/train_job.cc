#include "worker/train/train_job.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model_spec/memory_plan.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/train/validation.h"

namespace longspan::worker {

absl::StatusOr<std::unique_ptr<TrainJob>> TrainJob::Create(
    const TrainOptions& options, const TrainEnvironment& env) {
  if (!options.length.bounded()) {
    return absl::InvalidArgumentError(
        "train: neither steps nor max_duration is set; one must end the run");
  }
  const int replicas = env.context.replica_count();
  if (options.batch_size % replicas != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("train: ", options.batch_size, " sequences over ",
                     replicas, " replicas; each must have as many"));
  }
  ASSIGN_OR_RETURN(SequenceShard shard,
                   SequenceShard::Split({.batch = options.batch_size / replicas,
                                         .tokens = options.sequence_length},
                                        env.context.ranks(), env.context.rank(),
                                        options.layout));
  ASSIGN_OR_RETURN(SequenceSampler sampler,
                   SequenceSampler::Create(*env.text, options.sequence_length,
                                           options.seed));
  auto job = std::unique_ptr<TrainJob>(
      new TrainJob(options, env, std::move(shard), std::move(sampler)));
  RETURN_IF_ERROR(job->BuildModel());
  RETURN_IF_ERROR(job->Resume());
  return job;
}

TrainJob::TrainJob(const TrainOptions& options, const TrainEnvironment& env,
                   SequenceShard shard, SequenceSampler sampler)
    : options_(options),
      env_(env),
      shard_(std::move(shard)),
      sampler_(std::move(sampler)),
      context_(env.context),
      batch_(shard_, context_.replica(), context_.replica_count()),
      probe_({.total_steps = options.length.steps,
              .report_interval = options.report_interval,
              .is_leader = env.context.gang_rank() == 0},
             *env.clock, env.context, *env.reporter),
      agreement_(env.context.gang()) {}

int64_t TrainJob::ArenaBytes() const {
  RunShape shape = {.mode = RunMode::kTrain,
                    .batch = shard_.batch(),
                    .ranges = {shard_.ranges().begin(), shard_.ranges().end()},
                    .rank = context_.rank(),
                    .element_bytes = context_.element_bytes(),
                    .backend = context_.backend_kind,
                    .threads = context_.threads,
                    .method = context_.method,
                    .softmax_method = context_.softmax_method,
                    .state_gather = context_.state_gather,
                    .replicas = context_.replica_count(),
                    .replica = context_.replica(),
                    .layout = shard_.layout()};
  const int64_t train = PlanMemory(env_.model, shape).arena_bytes;
  if (env_.validation == nullptr) return train;
  shape.mode = RunMode::kEvaluate;
  return std::max(train, PlanMemory(env_.model, shape).arena_bytes);
}

absl::Status TrainJob::BuildModel() {
  ASSIGN_OR_RETURN(Arena arena,
                   Arena::Create(context_.backend->memory(), ArenaBytes()));
  arena_ = std::make_unique<Arena>(std::move(arena));
  context_.arena = arena_.get();
  ASSIGN_OR_RETURN(parameters_, Parameters::Create(context_, env_.model,
                                                   /*with_gradients=*/true));
  model_ = std::make_unique<Model>(env_.model, *parameters_);
  ASSIGN_OR_RETURN(step_,
                   TrainStep::Create(context_, model_.get(), parameters_.get(),
                                     options_.optimizer));
  checkpoint_ = std::make_unique<TrainCheckpoint>(
      options_.checkpoint, context_, parameters_.get(), step_.get());
  return absl::OkStatus();
}

absl::Status TrainJob::Resume() {
  ASSIGN_OR_RETURN(std::optional<TrainCheckpoint::Restored> restored,
                   checkpoint_->Restore());
  if (!restored && options_.initial_model.empty()) {
    return parameters_->Initialize(options_.seed);
  }
  if (!restored) {
    ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> initial,
                     CheckpointReader::Open(options_.initial_model));
    return ReadParameters(*initial, *parameters_);
  }
  for (const std::string& note : restored->notes) {
    env_.reporter->Log(LogSeverity::kWarning, note, {});
  }
  position_ = restored->position;
  seconds_before_ = position_.seconds;
  agreed_.seconds = seconds_before_;
  probe_.OnResume(position_.step, position_.tokens,
                  options_.length.Fraction(position_.step, position_.seconds));
  return absl::OkStatus();
}

double TrainJob::Seconds() const {
  return seconds_before_ +
         absl::ToDoubleSeconds(env_.clock->Monotonic() - run_began_);
}

bool TrainJob::finished() const {
  // The agreed time is that of the beginning of the newest step.
  return agreed_.stop || options_.length.Ended(position_.step, agreed_.seconds,
                                               2.0 * step_seconds_);
}

absl::StatusOr<TrainOutcome> TrainJob::Run() {
  run_began_ = env_.clock->Monotonic();
  while (!finished()) {
    RETURN_IF_ERROR(RunStep());
    RETURN_IF_ERROR(AfterStep());
  }
  if (agreed_.stop) {
    RETURN_IF_ERROR(SaveCheckpoint(/*last=*/true));
    return env_.stop->AsStatus();
  }
  RETURN_IF_ERROR(RunValidation());
  RETURN_IF_ERROR(SaveCheckpoint(/*last=*/true));
  probe_.Flush("finished");
  return TrainOutcome{.position = position_,
                      .validation_loss = validation_loss_,
                      .tokens_per_second = probe_.tokens_per_second(),
                      .checkpoint = *saved_};
}

absl::Status TrainJob::RunStep() {
  const absl::Duration began = env_.clock->Monotonic();
  agreement_.Start(Seconds(), env_.stop->requested());

  RETURN_IF_ERROR(batch_.ReadStep(sampler_, position_.step));
  const absl::Duration input_wait = env_.clock->Monotonic() - began;

  const int64_t tokens = options_.batch_size * options_.sequence_length;
  const double rate =
      LearningRate(options_.schedule, position_.step,
                   options_.length.Fraction(position_.step, agreed_.seconds));
  ASSIGN_OR_RETURN(const TrainStepResult result,
                   step_->Run({.shard = &shard_,
                               .ids = batch_.ids(),
                               .targets = batch_.targets(),
                               .scored_tokens = tokens},
                              rate));

  const double seconds = agreed_.seconds;
  ASSIGN_OR_RETURN(agreed_, agreement_.Finish());
  step_seconds_ = agreed_.seconds - seconds;
  position_ = {.step = position_.step + 1,
               .updates = step_->optimizer().updates(),
               .skipped = step_->optimizer().skipped(),
               .tokens = position_.tokens + tokens,
               .seconds = agreed_.seconds,
               .loss = result.loss};
  probe_.OnStep(
      {.step = position_.step,
       .tokens = tokens,
       .loss = result.loss,
       .gradient_norm = result.update.gradient_norm,
       .learning_rate = rate,
       .fraction = options_.length.Fraction(position_.step, agreed_.seconds),
       .total = env_.clock->Monotonic() - began,
       .input_wait = input_wait,
       .optimizer = result.optimizer_time});
  return absl::OkStatus();
}

absl::Status TrainJob::AfterStep() {
  if (finished()) return absl::OkStatus();  // Run does both for the last one
  if (Due(options_.validation_interval)) RETURN_IF_ERROR(RunValidation());
  if (Due(options_.checkpoint_interval)) return SaveCheckpoint(/*last=*/false);
  return absl::OkStatus();
}

absl::Status TrainJob::RunValidation() {
  if (env_.validation == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      const ValidationScore score,
      Validate(*model_, context_, *env_.validation, shard_, batch_));
  validation_loss_ = score.loss;
  probe_.OnValidation(score.loss, score.tokens);
  return absl::OkStatus();
}

absl::Status TrainJob::SaveCheckpoint(bool last) {
  if (saved_step_ == position_.step) return absl::OkStatus();
  const absl::Duration began = env_.clock->Monotonic();
  absl::StatusOr<TrainCheckpoint::Saved> saved = checkpoint_->Save(position_);
  if (saved.ok()) {
    saved_ = *std::move(saved);
    saved_step_ = position_.step;
    probe_.OnCheckpoint(position_.step, env_.clock->Monotonic() - began);
    return absl::OkStatus();
  }
  if (last || absl::IsInternal(saved.status())) return saved.status();
  env_.reporter->Log(
      LogSeverity::kWarning,
      absl::StrCat("checkpoint of step ", position_.step,
                   " failed: ", saved.status().message()),
      {{"step", position_.step}, {"error", saved.status().ToString()}});
  if (context_.gang_rank() == 0) {
    env_.reporter->Metrics(
        {{.metric = MetricId::kCheckpointFailures, .value = 1.0}});
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
