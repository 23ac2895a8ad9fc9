#include "worker/executor/agent_reporter.h"

#include <algorithm>
#include <utility>

#include "longspan/internal/executor.pb.h"
#include "worker/executor/proto_time.h"

namespace longspan::worker {
namespace {

bool HasLabel(MetricId metric, std::string_view label) {
  const std::vector<std::string>& labels = DefinitionOf(metric).labels;
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

// What the layers of a rank send in one step.
int64_t LayerBytes(const v1::Plan& plan, int rank) {
  int64_t bytes = 0;
  for (const v1::LayerTraffic& layer : plan.layers()) {
    if (rank >= layer.forward_bytes_size()) continue;
    bytes += layer.forward_bytes(rank) + layer.backward_bytes(rank);
  }
  return bytes;
}

void WriteStepTimes(const StepTimes& from, v1::StepTimes* to) {
  to->set_total(from.total);
  to->set_compute(from.compute);
  to->set_exposed_communication(from.exposed_communication);
  to->set_input_wait(from.input_wait);
  to->set_optimizer(from.optimizer);
  to->set_checkpoint(from.checkpoint);
}

void WriteProgress(const JobProgress& from, v1::Progress* to) {
  to->set_done(from.done);
  to->set_total(from.total);
  to->set_unit(from.unit);
  to->set_fraction(from.fraction);
  if (from.remaining != absl::InfiniteDuration()) {
    WriteDuration(from.remaining, to->mutable_remaining());
  }
  to->set_tokens(from.tokens);
  to->set_tokens_per_second(from.tokens_per_second);
  to->set_loss(from.loss);
  to->set_validation_loss(from.validation_loss);
  to->set_gradient_norm(from.gradient_norm);
  to->set_learning_rate(from.learning_rate);
  if (from.step_times.total > 0.0) {
    WriteStepTimes(from.step_times, to->mutable_step_times());
  }
  to->set_checkpoint_step(from.checkpoint_step);
  to->set_phase(from.phase);
}

void WriteSample(const MetricSample& from, internal::MetricSample* to) {
  const MetricDefinition& definition = DefinitionOf(from.metric);
  to->set_name(std::string(definition.name));
  to->mutable_labels()->insert(from.labels.begin(), from.labels.end());
  switch (definition.type) {
    case MetricType::kGauge:
      return to->set_set(from.value);
    case MetricType::kCounter:
      return to->set_add(from.value);
    case MetricType::kHistogram:
      return to->set_observe(from.value);
  }
}

}  // namespace

AgentReporter::AgentReporter(AgentLink& link,
                             const internal::ExecutorAssignment& assignment,
                             const Clock& clock, const MemoryProbe& memory)
    : link_(link),
      assignment_(assignment),
      clock_(clock),
      memory_(memory),
      metric_interval_(ReadDuration(assignment.metric_interval())),
      last_flush_(clock.Monotonic()) {}

void AgentReporter::Progress(const JobProgress& progress) {
  internal::FromExecutor message;
  v1::Progress* to = message.mutable_progress();
  WriteProgress(progress, to);
  WriteTime(clock_.Now(), to->mutable_update_time());
  const int rank = assignment_.assignment().rank();
  to->set_memory_used_bytes(memory_.used());
  to->set_memory_peak_bytes(memory_.peak());
  const v1::Plan& plan = assignment_.assignment().plan();
  if (rank < plan.ranks_size()) {
    to->set_memory_planned_bytes(plan.ranks(rank).memory().total());
  }
  link_.SendLatest(message);
}

void AgentReporter::Tokens(absl::Span<const GeneratedToken> tokens) {
  internal::FromExecutor message;
  *message.mutable_tokens()->mutable_key() = assignment_.assignment().key();
  for (const GeneratedToken& token : tokens) {
    v1::GeneratedTokenData* to = message.mutable_tokens()->add_tokens();
    to->set_id(token.id);
    to->set_text(token.text);
    if (token.log_probability) to->set_log_probability(*token.log_probability);
  }
  link_.Send(message);
}

void AgentReporter::AddLabels(MetricSample& sample) const {
  const v1::Assignment& assignment = assignment_.assignment();
  if (HasLabel(sample.metric, "job_id")) {
    sample.labels["job_id"] = assignment.key().job();
  }
  if (HasLabel(sample.metric, "rank")) {
    sample.labels["rank"] = std::to_string(assignment.rank());
  }
}

void AgentReporter::Add(MetricSample sample) {
  AddLabels(sample);
  samples_.Add(std::move(sample));
}

void AgentReporter::Metrics(std::vector<MetricSample> samples) {
  for (MetricSample& sample : samples) Add(std::move(sample));
  if (clock_.Monotonic() - last_flush_ >= metric_interval_) Flush();
}

void AgentReporter::SampleMemory() {
  Add({.metric = MetricId::kMemoryUsed,
       .value = static_cast<double>(memory_.used())});
  Add({.metric = MetricId::kMemoryPeak,
       .value = static_cast<double>(memory_.peak())});
}

// What the planner predicted for this rank.
void AgentReporter::SamplePlan() {
  const v1::Assignment& assignment = assignment_.assignment();
  const int rank = assignment.rank();
  if (rank >= assignment.plan().ranks_size()) return;
  const v1::RankPlan& plan = assignment.plan().ranks(rank);
  Add({.metric = MetricId::kMemoryPlanned,
       .value = static_cast<double>(plan.memory().total())});
  if (!assignment.spec().has_train()) return;
  Add({.metric = MetricId::kStepPlannedBytes,
       .value = static_cast<double>(LayerBytes(assignment.plan(), rank))});
}

void AgentReporter::Flush() {
  last_flush_ = clock_.Monotonic();
  SampleMemory();
  SamplePlan();
  std::vector<MetricSample> samples = samples_.Take();
  internal::FromExecutor message;
  for (const MetricSample& sample : samples) {
    WriteSample(sample, message.mutable_metrics()->add_samples());
  }
  if (!link_.TrySend(message)) samples_.Return(std::move(samples));
}

void AgentReporter::AtStep(int64_t step) { SetLogContext({"step", step}); }

void AgentReporter::Log(LogSeverity severity, std::string_view line,
                        LogFields fields) {
  if (assignment_.json_log()) longspan::Log(severity, line, fields);
  internal::FromExecutor message;
  message.mutable_log()->set_data(std::string(line) + "\n");
  link_.TrySend(message);
}

}  // namespace longspan::worker
