// Every metric of Longspan, in one place: name, type, help, labels, unit,
// buckets. docs/metrics.md is generated from it, dashboards and alert rules
// are checked against it, and nothing else makes a metric name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

enum class MetricId {
  // Work.
  kTokensProcessed,
  kSteps,
  kStepDuration,
  kStepPhase,
  kCollectiveBytes,
  kCollectiveExposed,
  kStepPlannedBytes,
  // Training.
  kTrainingLoss,
  kValidationLoss,
  kGradientNorm,
  kLearningRate,
  // Memory.
  kMemoryUsed,
  kMemoryPeak,
  kMemoryPlanned,
  // Cluster.
  kQueueLength,
  kJobs,
  kWorkers,
  kWorkerUp,
  kWorkerLastHeartbeat,
  kLeaseExpirations,
  kJobRestarts,
  // Checkpoints.
  kCheckpointDuration,
  kCheckpointFailures,
  // Serving.
  kTimeToFirstToken,
  kInterTokenLatency,
  kGeneratedTokens,
  kPromptTokens,
  // Process.
  kRpcRequests,
  kBuildInfo,
};

enum class MetricType { kCounter, kGauge, kHistogram };

struct MetricDefinition {
  MetricId id;
  std::string_view name;  // with the prefix "longspan_"
  MetricType type;
  std::string_view unit;    // "seconds", "bytes", "tokens", "1"
  std::string_view source;  // "coordinator", "worker", "both"
  std::string_view help;
  std::vector<std::string> labels;
  std::vector<double> buckets;  // histograms only: upper bounds, ascending
};

// In the order of MetricId, one entry for each.
const std::vector<MetricDefinition>& MetricCatalog();

const MetricDefinition& DefinitionOf(MetricId id);

// By full name, e.g. "longspan_steps_total".
std::optional<MetricId> FindMetric(std::string_view name);

// The content of docs/metrics.md.
std::string MetricsMarkdown();

}  // namespace longspan
