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
  void AtStep(int64_t at) override { step = at; }
  void Log(LogSeverity, std::string_view line, LogFields fields) override {
    log.emplace_back(line);
    log_fields.emplace_back(fields);
  }

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
  std::vector<std::vector<LogField>> log_fields;  // of each line
  int64_t step = -1;
  // May be set: called after the recording.
  std::function<void(const worker::JobProgress&)> on_progress;
  std::function<void()> on_tokens;
};

}  // namespace longspan::testing
