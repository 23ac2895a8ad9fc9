#include "worker/executor/metric_buffer.h"

#include <utility>

namespace longspan::worker {

void MetricBuffer::Add(MetricSample sample) {
  switch (DefinitionOf(sample.metric).type) {
    case MetricType::kGauge:
      merged_[{sample.metric, std::move(sample.labels)}] = sample.value;
      return;
    case MetricType::kCounter:
      merged_[{sample.metric, std::move(sample.labels)}] += sample.value;
      return;
    case MetricType::kHistogram:
      if (observations_.size() >= max_observations_) return;
      observations_.push_back(std::move(sample));
      return;
  }
}

std::vector<MetricSample> MetricBuffer::Take() {
  std::vector<MetricSample> samples = std::exchange(observations_, {});
  for (const auto& [key, value] : std::exchange(merged_, {})) {
    samples.push_back(
        {.metric = key.first, .value = value, .labels = key.second});
  }
  return samples;
}

void MetricBuffer::Return(std::vector<MetricSample> samples) {
  for (MetricSample& sample : samples) {
    const bool gauge = DefinitionOf(sample.metric).type == MetricType::kGauge;
    if (gauge && merged_.contains({sample.metric, sample.labels})) continue;
    Add(std::move(sample));
  }
}

}  // namespace longspan::worker
