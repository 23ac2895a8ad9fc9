// A reporter that keeps what it is told.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/job/job_reporter.h"

namespace longspan::testing {

class RecordingReporter : public worker::JobReporter {
 public:
  void Progress(const worker::JobProgress& report) override {
    progress.push_back(report);
    if (on_progress) on_progress(report);
  }
  void Tokens(absl::Span<const worker::GeneratedToken> reported) override {
    tokens.insert(tokens.end(), reported.begin(), reported.end());
    if (on_tokens) on_tokens();
  }
  void Metrics(std::vector<worker::MetricSample> samples) override {
    metrics.insert(metrics.end(), samples.begin(), samples.end());
  }
  void Log(std::string_view line) override { log.emplace_back(line); }

  // The sum of all values of a metric.
  double Total(MetricId metric) const {
    double total = 0.0;
    for (const worker::MetricSample& sample : metrics) {
      if (sample.metric == metric) total += sample.value;
    }
    return total;
  }

  std::vector<worker::JobProgress> progress;
  std::vector<worker::GeneratedToken> tokens;
  std::vector<worker::MetricSample> metrics;
  std::vector<std::string> log;
  // May be set: called after the recording.
  std::function<void(const worker::JobProgress&)> on_progress;
  std::function<void()> on_tokens;
};

}  // namespace longspan::testing
