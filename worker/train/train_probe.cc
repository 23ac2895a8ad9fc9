#include "worker/train/train_probe.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"

namespace longspan::worker {
namespace {

constexpr std::string_view kExposedPhase = "exposed_communication";

const char* OperationName(Traffic traffic) {
  switch (traffic) {
    case Traffic::kStateExchange:
      return "state_exchange";
    case Traffic::kHeadExchange:
      return "head_exchange";
    case Traffic::kRowExchange:
      return "row_exchange";
    case Traffic::kKvExchange:
      return "kv_exchange";
    case Traffic::kGradientSync:
      return "gradient_sync";
    case Traffic::kConvolutionHalo:
    case Traffic::kControl:
      return "other";
  }
  return "other";
}

const char* PassName(Direction direction) {
  switch (direction) {
    case Direction::kForward:
      return "forward";
    case Direction::kBackward:
      return "backward";
    case Direction::kNone:
      return "none";
  }
  return "none";
}

}  // namespace

TrainProbe::TrainProbe(const TrainProbeOptions& options, const Clock& clock,
                       const RankContext& context, JobReporter& reporter)
    : options_(options),
      clock_(clock),
      context_(context),
      reporter_(reporter),
      started_(clock.Monotonic()) {
  progress_.unit = "steps";
  progress_.phase = "training";
  progress_.total = options.total_steps;
}

void TrainProbe::OnResume(int64_t step, int64_t tokens, double fraction) {
  progress_.fraction = fraction;
  progress_.done = step;
  progress_.tokens = tokens;
  progress_.checkpoint_step = step;
  reporter_.AtStep(step);
}

void TrainProbe::OnStep(const StepReport& report) {
  reporter_.AtStep(report.step);
  ++interval_.steps;
  interval_.tokens += report.tokens;
  interval_.total += report.total;
  interval_.input_wait += report.input_wait;
  interval_.optimizer += report.optimizer;
  interval_.step_seconds.push_back(absl::ToDoubleSeconds(report.total));
  tokens_here_ += report.tokens;
  trained_ += report.total;
  if (started_at_fraction_ < 0.0) started_at_fraction_ = progress_.fraction;
  progress_.done = report.step;
  progress_.tokens += report.tokens;
  progress_.fraction = std::clamp(report.fraction, 0.0, 1.0);
  progress_.loss = report.loss;
  progress_.gradient_norm = report.gradient_norm;
  progress_.learning_rate = report.learning_rate;
  progress_.phase = "training";
  if (interval_.steps >= options_.report_interval) Report();
}

void TrainProbe::OnValidation(double loss, int64_t tokens) {
  progress_.validation_loss = loss;
  if (!options_.is_leader) return;
  reporter_.Metrics({{.metric = MetricId::kValidationLoss, .value = loss},
                     {.metric = MetricId::kTokensProcessed,
                      .value = static_cast<double>(tokens),
                      .labels = {{"kind", "validate"}}}});
}

void TrainProbe::OnCheckpoint(int64_t step, absl::Duration duration) {
  progress_.checkpoint_step = step;
  interval_.checkpoint += duration;
  interval_.total += duration;
  if (!options_.is_leader) return;
  reporter_.Metrics({{.metric = MetricId::kCheckpointDuration,
                      .value = absl::ToDoubleSeconds(duration)}});
}

void TrainProbe::Flush(const std::string& phase) {
  progress_.phase = phase;
  Report();
}

double TrainProbe::tokens_per_second() const {
  if (trained_ <= absl::ZeroDuration()) return 0.0;
  return static_cast<double>(tokens_here_) / absl::ToDoubleSeconds(trained_);
}

TransferCounts TrainProbe::Reported(const TrafficTag& tag) const {
  const auto found = reported_transfers_.find(tag);
  return found == reported_transfers_.end() ? TransferCounts() : found->second;
}

std::optional<absl::Duration> TrainProbe::ExposedCommunication(
    const TransferCounters& now) const {
  absl::Duration total;
  for (const auto& [tag, counts] : now) {
    if (!counts.exposed_time.has_value()) return std::nullopt;
    total += *counts.exposed_time;
    total -= Reported(tag).exposed_time.value_or(absl::ZeroDuration());
  }
  return total;
}

StepTimes TrainProbe::MeanTimes(const TransferCounters& now) const {
  StepTimes mean;
  if (interval_.steps == 0) return mean;
  const auto per_step = [this](absl::Duration time) {
    return absl::ToDoubleSeconds(time) / static_cast<double>(interval_.steps);
  };
  mean.total = per_step(interval_.total);
  mean.input_wait = per_step(interval_.input_wait);
  mean.optimizer = per_step(interval_.optimizer);
  mean.checkpoint = per_step(interval_.checkpoint);
  mean.exposed_communication =
      per_step(ExposedCommunication(now).value_or(absl::ZeroDuration()));
  mean.compute =
      std::max(0.0, mean.total - mean.input_wait - mean.optimizer -
                        mean.checkpoint - mean.exposed_communication);
  return mean;
}

absl::Duration TrainProbe::Remaining() const {
  const double gained = progress_.fraction - started_at_fraction_;
  if (started_at_fraction_ < 0.0 || gained <= 0.0) {
    return absl::InfiniteDuration();
  }
  const absl::Duration elapsed = clock_.Monotonic() - started_;
  return elapsed * ((1.0 - progress_.fraction) / gained);
}

void TrainProbe::AddPhases(const TransferCounters& now,
                           std::vector<MetricSample>& out) const {
  const StepTimes& mean = progress_.step_times;
  const std::pair<std::string_view, double> phases[] = {
      {"compute", mean.compute},
      {kExposedPhase, mean.exposed_communication},
      {"input_wait", mean.input_wait},
      {"optimizer", mean.optimizer},
      {"checkpoint", mean.checkpoint}};
  const bool sees_waits = ExposedCommunication(now).has_value();
  for (const auto& [phase, seconds] : phases) {
    if (phase == kExposedPhase && !sees_waits) continue;
    out.push_back({.metric = MetricId::kStepPhase,
                   .value = seconds * static_cast<double>(interval_.steps),
                   .labels = {{"phase", std::string(phase)}}});
  }
}

void TrainProbe::AddTransfers(const TransferCounters& now,
                              std::vector<MetricSample>& out) const {
  for (const auto& [tag, counts] : now) {
    const TransferCounts before = Reported(tag);
    const std::pair<const char*, int64_t> directions[] = {
        {"sent", counts.bytes_sent - before.bytes_sent},
        {"received", counts.bytes_received - before.bytes_received}};
    for (const auto& [direction, bytes] : directions) {
      out.push_back({.metric = MetricId::kCollectiveBytes,
                     .value = static_cast<double>(bytes),
                     .labels = {{"op", OperationName(tag.traffic)},
                                {"direction", direction}}});
    }
    if (!counts.exposed_time.has_value()) continue;
    const absl::Duration exposed =
        *counts.exposed_time -
        before.exposed_time.value_or(absl::ZeroDuration());
    out.push_back({.metric = MetricId::kCollectiveExposed,
                   .value = absl::ToDoubleSeconds(exposed),
                   .labels = {{"op", OperationName(tag.traffic)},
                              {"pass", PassName(tag.direction)}}});
  }
}

void TrainProbe::AddLeaderSamples(std::vector<MetricSample>& out) const {
  out.push_back({.metric = MetricId::kSteps,
                 .value = static_cast<double>(interval_.steps)});
  out.push_back({.metric = MetricId::kTokensProcessed,
                 .value = static_cast<double>(interval_.tokens),
                 .labels = {{"kind", "train"}}});
  // Shown from the start, so that the first failure is an increase.
  out.push_back({.metric = MetricId::kCheckpointFailures, .value = 0.0});
  out.push_back({.metric = MetricId::kTrainingLoss, .value = progress_.loss});
  out.push_back(
      {.metric = MetricId::kGradientNorm, .value = progress_.gradient_norm});
  out.push_back(
      {.metric = MetricId::kLearningRate, .value = progress_.learning_rate});
  for (double seconds : interval_.step_seconds) {
    out.push_back({.metric = MetricId::kStepDuration, .value = seconds});
  }
}

void TrainProbe::Report() {
  TransferCounters transfers = context_.counters();
  progress_.step_times = MeanTimes(transfers);
  progress_.remaining = Remaining();
  if (interval_.steps > 0 && interval_.total > absl::ZeroDuration()) {
    progress_.tokens_per_second = static_cast<double>(interval_.tokens) /
                                  absl::ToDoubleSeconds(interval_.total);
  }
  std::vector<MetricSample> samples;
  AddPhases(transfers, samples);
  AddTransfers(transfers, samples);
  if (options_.is_leader && interval_.steps > 0) AddLeaderSamples(samples);
  reporter_.Metrics(std::move(samples));
  reporter_.Progress(progress_);
  if (options_.is_leader && interval_.steps > 0) LogStep();
  reported_transfers_ = std::move(transfers);
  interval_ = {};
}

void TrainProbe::LogStep() {
  reporter_.Log(
      LogSeverity::kInfo,
      absl::StrFormat(
          "step %d  loss %.9g  gradient norm %.4g  learning rate %.4g  "
          "%.0f tokens/s",
          progress_.done, progress_.loss, progress_.gradient_norm,
          progress_.learning_rate, progress_.tokens_per_second),
      {{"step", progress_.done},
       {"loss", progress_.loss},
       {"gradient_norm", progress_.gradient_norm},
       {"learning_rate", progress_.learning_rate},
       {"tokens_per_second", progress_.tokens_per_second}});
}

}  // namespace longspan::worker
