#include "common/metrics/metric_catalog.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"

namespace longspan {
namespace {

using enum MetricType;
using Buckets = std::vector<double>;

// From a fast decode step to a slow training step.
Buckets StepBuckets() {
  return {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
          2.5,   5,    10,    30,   60,  120,  300};
}

Buckets CheckpointBuckets() {
  return {0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};
}

// Prompts of a million tokens take minutes to read.
Buckets FirstTokenBuckets() {
  return {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,  2.5,
          5,    10,    30,   60,  120,  300, 600};
}

Buckets InterTokenBuckets() {
  return {0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05,
          0.075, 0.1,    0.15,  0.25, 0.5,  1,     2.5};
}

// clang-format off
std::vector<MetricDefinition> MakeCatalog() {
  using enum MetricId;
  return {
      {kTokensProcessed, "longspan_tokens_processed_total", kCounter, "tokens",
       "worker", "Tokens that a job has finished processing, by kind of work "
       "(train, validate, evaluate, prefill, generate).",
       {"job_id", "kind"}, {}},
      {kSteps, "longspan_steps_total", kCounter, "steps", "worker",
       "Optimiser steps that a job has finished.", {"job_id"}, {}},
      {kStepDuration, "longspan_step_duration_seconds", kHistogram, "seconds",
       "worker", "Wall time of one training step, on rank 0.",
       {"job_id"}, StepBuckets()},
      {kStepPhase, "longspan_step_phase_seconds_total", kCounter, "seconds",
       "worker", "Wall time of steps by phase: compute, exposed_communication "
       "(waited for, not overlapped; of GPU ranks it is not known and part of "
       "compute), input_wait, optimizer, checkpoint.",
       {"job_id", "rank", "phase"}, {}},
      {kCollectiveBytes, "longspan_collective_bytes_total", kCounter, "bytes",
       "worker", "Bytes that the transport carried for a rank, by operation "
       "(state_exchange, head_exchange, row_exchange, kv_exchange, "
       "gradient_sync, other) "
       "and direction (sent, received).",
       {"job_id", "rank", "op", "direction"}, {}},
      {kCollectiveExposed, "longspan_collective_exposed_seconds_total",
       kCounter, "seconds", "worker", "Time that a rank stood still for "
       "transfers that its work did not hide, by operation (as of the bytes) "
       "and pass (forward, backward, none). Of CPU ranks: on GPUs a stream "
       "waits, not the host, so there only what the host waits for is here.",
       {"job_id", "rank", "op", "pass"}, {}},
      {kStepPlannedBytes, "longspan_step_planned_bytes", kGauge, "bytes",
       "worker", "Bytes that the planner predicted that the layers of a rank "
       "send in one training step: state_, head_, row_ and kv_exchange of "
       "the collective bytes together.", {"job_id", "rank"}, {}},
      {kTrainingLoss, "longspan_training_loss", kGauge, "nats per token",
       "worker", "Mean loss of the newest training step.", {"job_id"}, {}},
      {kValidationLoss, "longspan_validation_loss", kGauge, "nats per token",
       "worker", "Mean loss of the newest validation.", {"job_id"}, {}},
      {kGradientNorm, "longspan_gradient_norm", kGauge, "1", "worker",
       "Global norm of the gradient before clipping, newest step.",
       {"job_id"}, {}},
      {kLearningRate, "longspan_learning_rate", kGauge, "1", "worker",
       "Learning rate of the newest step.", {"job_id"}, {}},
      {kMemoryUsed, "longspan_memory_used_bytes", kGauge, "bytes", "worker",
       "Memory in use by a rank's executor; 0 when it has ended.",
       {"job_id", "rank"}, {}},
      {kMemoryPeak, "longspan_memory_peak_bytes", kGauge, "bytes", "worker",
       "Largest memory use of a rank's executor so far.",
       {"job_id", "rank"}, {}},
      {kMemoryPlanned, "longspan_memory_planned_bytes", kGauge, "bytes",
       "worker", "Memory that the planner predicted for a rank.",
       {"job_id", "rank"}, {}},
      {kQueueLength, "longspan_queue_length", kGauge, "jobs", "coordinator",
       "Jobs that wait for devices, by priority and reason: no_capacity (more "
       "than all workers have), devices_in_use, behind_another (which waits "
       "for the same kind of device).", {"priority", "reason"}, {}},
      {kJobs, "longspan_jobs", kGauge, "jobs", "coordinator",
       "Jobs the coordinator knows, by state.", {"state"}, {}},
      {kWorkers, "longspan_workers", kGauge, "workers", "coordinator",
       "Workers the coordinator knows, by state.", {"state"}, {}},
      {kWorkerUp, "longspan_worker_up", kGauge, "1", "coordinator",
       "1 while a worker holds its lease, else 0.", {"worker"}, {}},
      {kWorkerLastHeartbeat, "longspan_worker_last_heartbeat_timestamp_seconds",
       kGauge, "seconds", "coordinator",
       "Unix time of a worker's newest lease renewal.", {"worker"}, {}},
      {kLeaseExpirations, "longspan_lease_expirations_total", kCounter,
       "leases", "coordinator", "Worker leases that ran out.", {}, {}},
      {kJobRestarts, "longspan_job_restarts_total", kCounter, "restarts",
       "coordinator", "Attempts started after a failed one, by reason.",
       {"reason"}, {}},
      {kCheckpointDuration, "longspan_checkpoint_duration_seconds", kHistogram,
       "seconds", "worker", "Time to write one complete checkpoint.",
       {"job_id"}, CheckpointBuckets()},
      {kCheckpointFailures, "longspan_checkpoint_failures_total", kCounter,
       "checkpoints", "worker", "Checkpoints that could not be completed.",
       {"job_id"}, {}},
      {kTimeToFirstToken, "longspan_time_to_first_token_seconds", kHistogram,
       "seconds", "worker", "Time from the start of a request to its first "
       "token.", {}, FirstTokenBuckets()},
      {kInterTokenLatency, "longspan_inter_token_latency_seconds", kHistogram,
       "seconds", "worker", "Time between two tokens of one request.",
       {}, InterTokenBuckets()},
      {kGeneratedTokens, "longspan_generated_tokens_total", kCounter, "tokens",
       "worker", "Tokens generated for all requests.", {}, {}},
      {kPromptTokens, "longspan_prompt_tokens_total", kCounter, "tokens",
       "worker", "Prompt tokens read for all requests.", {}, {}},
      {kRpcRequests, "longspan_rpc_requests_total", kCounter, "requests",
       "both", "RPCs that ended, by method and gRPC status code.",
       {"method", "code"}, {}},
      {kBuildInfo, "longspan_build_info", kGauge, "1", "both",
       "Always 1; the labels say what runs.", {"version", "build"}, {}},
  };
}
// clang-format on

std::string_view TypeName(MetricType type) {
  switch (type) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      return "histogram";
  }
  return "";
}

std::string Code(std::string_view text) {
  return absl::StrCat("`", std::string(text), "`");
}

std::string LabelList(const MetricDefinition& metric) {
  std::vector<std::string> labels;
  for (const std::string& label : metric.labels) labels.push_back(Code(label));
  return absl::StrJoin(labels, ", ");
}

}  // namespace

const std::vector<MetricDefinition>& MetricCatalog() {
  static const auto* catalog = new std::vector<MetricDefinition>(MakeCatalog());
  return *catalog;
}

const MetricDefinition& DefinitionOf(MetricId id) {
  const auto index = static_cast<size_t>(id);
  LONGSPAN_CHECK_LT(index, MetricCatalog().size());
  return MetricCatalog()[index];
}

std::optional<MetricId> FindMetric(std::string_view name) {
  for (const MetricDefinition& metric : MetricCatalog()) {
    if (metric.name == name) return metric.id;
  }
  return std::nullopt;
}

std::string MetricsMarkdown() {
  std::string out =
      "# Metrics\n\n"
      "Generated from `common/metrics/metric_catalog.cc` by "
      "`longspan-metrics-doc`; do not edit.\n\n"
      "The coordinator and every worker serve these at `/metrics`. Series of "
      "a finished job are removed.\n\n"
      "| name | type | unit | labels | served by | meaning |\n"
      "|---|---|---|---|---|---|\n";
  for (const MetricDefinition& metric : MetricCatalog()) {
    absl::StrAppend(&out, "| ", Code(metric.name), " | ",
                    std::string(TypeName(metric.type)), " | ",
                    std::string(metric.unit), " | ", LabelList(metric), " | ",
                    std::string(metric.source), " | ", std::string(metric.help),
                    " |\n");
  }
  absl::StrAppend(&out, "\n## Buckets of the histograms\n\n");
  for (const MetricDefinition& metric : MetricCatalog()) {
    if (metric.buckets.empty()) continue;
    absl::StrAppend(&out, "- ", Code(metric.name), ": ",
                    absl::StrJoin(metric.buckets, ", "), "\n");
  }
  return out;
}

}  // namespace longspan
