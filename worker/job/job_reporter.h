// What a running job tells the outside: progress, tokens, metric samples, log
// lines.
//
// The executor implements it over the agent's socket, tests record the calls.
// Calls return at once: reports that cannot be sent in time are merged or
// dropped, tokens never are. Called by the thread that runs the job.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/log/log.h"
#include "common/metrics/metric_catalog.h"

namespace longspan::worker {

// Mean seconds of a step since the last report, and their parts. Compute is
// what remains of the total. On GPU ranks the host does not see what the device
// waits for: exposed communication is then zero here and part of compute.
struct StepTimes {
  double total = 0.0;
  double compute = 0.0;
  double exposed_communication = 0.0;
  double input_wait = 0.0;
  double optimizer = 0.0;
  double checkpoint = 0.0;
};

struct JobProgress {
  int64_t done = 0;
  int64_t total = 0;  // 0: unknown
  std::string unit;   // "steps" or "tokens"
  double fraction = 0.0;
  absl::Duration remaining = absl::InfiniteDuration();  // infinite: unknown
  int64_t tokens = 0;
  double tokens_per_second = 0.0;
  double loss = 0.0;
  double validation_loss = 0.0;
  double gradient_norm = 0.0;
  double learning_rate = 0.0;
  StepTimes step_times;
  int64_t checkpoint_step = 0;
  std::string phase;
};

struct GeneratedToken {
  int32_t id = 0;
  std::string text;  // its bytes
  std::optional<double> log_probability;
};

// A value for a metric of the catalog; its type there says whether the value is
// set, added or observed. The reporter adds the labels job_id and rank where
// the metric has them.
struct MetricSample {
  MetricId metric;
  double value = 0.0;
  std::map<std::string, std::string> labels;
};

class JobReporter {
 public:
  virtual ~JobReporter() = default;

  virtual void Progress(const JobProgress& progress) = 0;
  virtual void Tokens(absl::Span<const GeneratedToken> tokens) = 0;
  virtual void Metrics(std::vector<MetricSample> samples) = 0;
  // The job has done this many steps; later log lines carry the number.
  virtual void AtStep(int64_t step) = 0;
  // One line for the job's log, without newline: a sentence for people. The
  // fields are its values for structured logs.
  virtual void Log(LogSeverity severity, std::string_view line,
                   LogFields fields) = 0;
};

}  // namespace longspan::worker
