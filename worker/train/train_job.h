// The job "train": optimiser steps over windows of a text until the steps or
// the time are up, with checkpoints, validations and reports on the way.
//
// Which tokens a step sees and how the model begins are pure functions of the
// seed, so a run that is interrupted and resumed from a checkpoint ends with
// the bits of one that was not. A run that is bounded by time agrees on rank
// 0's clock, and so on learning rates and on its last step.
//
// All ranks make the same calls. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/model_spec/model_spec.h"
#include "worker/data/sequence_sampler.h"
#include "worker/data/token_source.h"
#include "worker/job/job_reporter.h"
#include "worker/job/run_agreement.h"
#include "worker/job/stop_request.h"
#include "worker/model/model.h"
#include "worker/optim/adamw_optimizer.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/tensor/arena.h"
#include "worker/train/batch_reader.h"
#include "worker/train/learning_rate.h"
#include "worker/train/run_length.h"
#include "worker/train/train_checkpoint.h"
#include "worker/train/train_probe.h"
#include "worker/train/train_step.h"

namespace longspan::worker {

struct TrainOptions {
  int64_t sequence_length = 0;
  int64_t batch_size = 1;
  RunLength length;
  AdamWSettings optimizer;
  LearningRateSchedule schedule;
  int64_t validation_interval = 0;  // steps; 0: only at the end
  int64_t checkpoint_interval = 0;  // steps; 0: only at the end
  int64_t report_interval = 10;     // steps
  uint64_t seed = 0;
  // Which rank holds which tokens of a sequence.
  TokenLayout layout = TokenLayout::kContiguous;
  TrainCheckpointOptions checkpoint;
  // A checkpoint whose parameters a new run begins with; empty: random.
  std::string initial_model;
};

// What the job works with. Owns nothing.
struct TrainEnvironment {
  ModelSpec model;
  RankContext context;  // its arena is ignored
  const TokenSource* text = nullptr;
  const TokenSource* validation = nullptr;  // may be null
  const StopRequest* stop = nullptr;
  JobReporter* reporter = nullptr;
  const Clock* clock = nullptr;
};

struct TrainOutcome {
  TrainPosition position;
  double validation_loss = 0.0;
  double tokens_per_second = 0.0;
  TrainCheckpoint::Saved checkpoint;
};

class TrainJob {
 public:
  // Builds the model and goes on from the newest checkpoint, if there is one.
  static absl::StatusOr<std::unique_ptr<TrainJob>> Create(
      const TrainOptions& options, const TrainEnvironment& env);

  // Steps done by earlier attempts.
  int64_t step() const { return position_.step; }

  // To the end. kCancelled after a stop request; the run's last step is then
  // in a checkpoint.
  absl::StatusOr<TrainOutcome> Run();

 private:
  TrainJob(const TrainOptions& options, const TrainEnvironment& env,
           SequenceShard shard, SequenceSampler sampler);

  absl::Status BuildModel();
  absl::Status Resume();
  int64_t ArenaBytes() const;

  absl::Status RunStep();
  absl::Status AfterStep();
  absl::Status RunValidation();
  // Errors of checkpoints that are not the last are reported, not returned.
  absl::Status SaveCheckpoint(bool last);
  bool Due(int64_t interval) const {
    return interval > 0 && position_.step % interval == 0;
  }
  bool finished() const;
  double Seconds() const;

  // Immutable after creation.
  const TrainOptions options_;
  const TrainEnvironment env_;
  const SequenceShard shard_;
  const SequenceSampler sampler_;
  RankContext context_;

  std::unique_ptr<Arena> arena_;
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<TrainCheckpoint> checkpoint_;
  BatchReader batch_;
  TrainProbe probe_;
  RunAgreement agreement_;

  TrainPosition position_;
  Agreed agreed_;
  absl::Duration run_began_;
  double seconds_before_ = 0.0;  // of earlier attempts
  double step_seconds_ = 0.0;    // agreed time of the newest step
  double validation_loss_ = 0.0;
  std::optional<TrainCheckpoint::Saved> saved_;
  int64_t saved_step_ = -1;
};

}  // namespace longspan::worker
