#include "worker/agent/executor_metrics.h"

#include <optional>

#include "common/log/log.h"

namespace longspan::worker {
namespace {

double ValueOf(const internal::MetricSample& sample) {
  switch (sample.value_case()) {
    case internal::MetricSample::kSet:
      return sample.set();
    case internal::MetricSample::kAdd:
      return sample.add();
    case internal::MetricSample::kObserve:
      return sample.observe();
    case internal::MetricSample::VALUE_NOT_SET:
      return 0;
  }
  return 0;
}

// Values in the order of the catalog; an absent label is empty.
MetricRegistry::LabelValues InCatalogOrder(const MetricDefinition& metric,
                                           const internal::MetricSample& sample,
                                           const std::string& job_id) {
  MetricRegistry::LabelValues values;
  for (const std::string& label : metric.labels) {
    const auto it = sample.labels().find(label);
    values.push_back(label == "job_id"             ? job_id
                     : it == sample.labels().end() ? ""
                                                   : it->second);
  }
  return values;
}

}  // namespace

std::string JobIdOf(const std::string& job) {
  return job.substr(job.rfind('/') + 1);  // npos + 1 is the beginning
}

void ExecutorMetrics::Record(const std::string& job,
                             const internal::MetricSamples& samples) {
  for (const internal::MetricSample& sample : samples.samples()) {
    const std::optional<MetricId> id = FindMetric(sample.name());
    absl::Status recorded =
        absl::NotFoundError("not in the catalog of metrics");
    if (id.has_value()) {
      recorded = registry_->Record(
          sample.name(),
          InCatalogOrder(DefinitionOf(*id), sample, JobIdOf(job)),
          ValueOf(sample));
    }
    if (!recorded.ok()) {
      LogWarning("metric sample dropped",
                 {{"job", job},
                  {"metric", sample.name()},
                  {"reason", std::string(recorded.message())}});
    }
  }
}

void ExecutorMetrics::OnExecutorStart(const std::string& job) {
  Job& entry = jobs_[job];
  ++entry.executors;
  ++entry.generation;
}

void ExecutorMetrics::OnExecutorEnd(const std::string& job, int rank) {
  registry_
      ->GetGauge(MetricId::kMemoryUsed, {JobIdOf(job), std::to_string(rank)})
      .Set(0);
  Job& entry = jobs_[job];
  --entry.executors;
  const int64_t generation = ++entry.generation;
  loop_->After(grace_, [=, this] { RemoveIfIdle(job, generation); });
}

void ExecutorMetrics::RemoveIfIdle(const std::string& job, int64_t generation) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end() || it->second.generation != generation ||
      it->second.executors > 0) {
    return;
  }
  registry_->RemoveSeries("job_id", JobIdOf(job));
  jobs_.erase(it);
}

}  // namespace longspan::worker
