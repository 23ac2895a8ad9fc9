// Metric samples between two messages to the agent, merged: the newest value
// of a gauge, the sum of a counter, every observation of a histogram up to a
// bound. Not thread-safe.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "worker/job/job_reporter.h"

namespace longspan::worker {

class MetricBuffer {
 public:
  // Observations beyond `max_observations` are dropped: the agent is not
  // reading, and the next ones say the same.
  explicit MetricBuffer(size_t max_observations = 4096)
      : max_observations_(max_observations) {}

  void Add(MetricSample sample);
  // Everything so far; the buffer is empty afterwards.
  std::vector<MetricSample> Take();
  // Back into the buffer, when they could not be sent. Newer gauges win.
  void Return(std::vector<MetricSample> samples);

  bool empty() const { return merged_.empty() && observations_.empty(); }

 private:
  using Key = std::pair<MetricId, std::map<std::string, std::string>>;

  const size_t max_observations_;
  std::map<Key, double> merged_;
  std::vector<MetricSample> observations_;
};

}  // namespace longspan::worker
