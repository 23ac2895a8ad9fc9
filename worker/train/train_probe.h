// Measures a training run and reports it: plain On...() calls from the loop,
// naming and sending in one place.
//
// Times and counts add up between reports; a report shows means of the steps
// since the last one. Rank 0's progress is the job's. Samples that have a rank
// come from every rank, the others from rank 0. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "worker/collective/process_group.h"
#include "worker/job/job_reporter.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// One finished step.
struct StepReport {
  int64_t step = 0;    // steps done, this one included
  int64_t tokens = 0;  // of the step, all ranks
  double loss = 0.0;   // mean, nats per token
  double gradient_norm = 0.0;
  double learning_rate = 0.0;
  double fraction = 0.0;  // of the run, 0..1
  absl::Duration total;
  absl::Duration input_wait;
  absl::Duration optimizer;
};

struct TrainProbeOptions {
  int64_t total_steps = 0;  // 0: bounded by time
  int64_t report_interval = 10;
  bool is_leader = true;  // rank 0
};

class TrainProbe {
 public:
  // What the context points to, and the others, must outlive the probe.
  TrainProbe(const TrainProbeOptions& options, const Clock& clock,
             const RankContext& context, JobReporter& reporter);

  // A run that goes on from a checkpoint; `fraction` of it lies behind.
  void OnResume(int64_t step, int64_t tokens, double fraction);
  void OnStep(const StepReport& report);
  void OnValidation(double loss, int64_t tokens);
  void OnCheckpoint(int64_t step, absl::Duration duration);
  // Whatever has not been reported yet.
  void Flush(const std::string& phase);

  double last_loss() const { return progress_.loss; }
  double validation_loss() const { return progress_.validation_loss; }
  int64_t tokens() const { return progress_.tokens; }
  // Since this process began to train.
  double tokens_per_second() const;

 private:
  struct Interval {
    int64_t steps = 0;
    int64_t tokens = 0;
    absl::Duration total;
    absl::Duration input_wait;
    absl::Duration optimizer;
    absl::Duration checkpoint;
    std::vector<double> step_seconds;
  };

  // Since the last report; absent if the host does not see all of it.
  std::optional<absl::Duration> ExposedCommunication(
      const TransferCounters& now) const;
  TransferCounts Reported(const TrafficTag& tag) const;
  StepTimes MeanTimes(const TransferCounters& now) const;
  absl::Duration Remaining() const;
  void AddPhases(const TransferCounters& now,
                 std::vector<MetricSample>& out) const;
  void AddTransfers(const TransferCounters& now,
                    std::vector<MetricSample>& out) const;
  void AddLeaderSamples(std::vector<MetricSample>& out) const;
  void Report();
  // One line of the job's log for each report of a training run.
  void LogStep();

  const TrainProbeOptions options_;
  const Clock& clock_;
  const RankContext context_;
  JobReporter& reporter_;

  const absl::Duration started_;
  double started_at_fraction_ = -1.0;  // before the first step of this process
  int64_t tokens_here_ = 0;            // trained by this process
  absl::Duration trained_;             // in steps, by this process
  Interval interval_;
  TransferCounters reported_transfers_;
  JobProgress progress_;
};

}  // namespace longspan::worker
