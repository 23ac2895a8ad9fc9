// The reporter of a job that runs under an agent. Adds what the job does not
// know: its labels, memory, the time. Samples are sent at most once per metric
// interval. Used by the thread that runs the job; Log by any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/clock.h"
#include "worker/executor/agent_link.h"
#include "worker/executor/memory_probe.h"
#include "worker/executor/metric_buffer.h"
#include "worker/job/job_reporter.h"

namespace longspan::internal {
class ExecutorAssignment;
}

namespace longspan::worker {

class AgentReporter final : public JobReporter {
 public:
  // All must outlive the reporter.
  AgentReporter(AgentLink& link, const internal::ExecutorAssignment& assignment,
                const Clock& clock, const MemoryProbe& memory);

  void Progress(const JobProgress& progress) override;
  void Tokens(absl::Span<const GeneratedToken> tokens) override;
  void Metrics(std::vector<MetricSample> samples) override;
  void AtStep(int64_t step) override;
  void Log(LogSeverity severity, std::string_view line,
           LogFields fields) override;

  // Sends the samples that wait, at the end.
  void Flush();

 private:
  void AddLabels(MetricSample& sample) const;
  void Add(MetricSample sample);
  void SampleMemory();
  void SamplePlan();

  AgentLink& link_;
  const internal::ExecutorAssignment& assignment_;
  const Clock& clock_;
  const MemoryProbe& memory_;
  const absl::Duration metric_interval_;

  MetricBuffer samples_;
  absl::Duration last_flush_;
};

}  // namespace longspan::worker
