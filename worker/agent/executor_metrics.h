// The metrics of executors, on the daemon's /metrics.
//
// Samples carry labels by name; the label job_id is always the id of the job
// that the executor belongs to. Series of a job stay for a grace period after
// its last executor has ended here, so that the last values are scraped, and
// go unless the job has come back. Only the memory in use is zero at once: it
// is summed over ranks. Used by the agent's loop only.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "common/metrics/metric_registry.h"
#include "longspan/internal/executor.pb.h"
#include "worker/agent/event_loop.h"

namespace longspan::worker {

class ExecutorMetrics {
 public:
  ExecutorMetrics(MetricRegistry* registry, EventLoop* loop,
                  absl::Duration grace)
      : registry_(registry), loop_(loop), grace_(grace) {}

  // `job` is tenants/{t}/jobs/{j}. Samples that make no sense are logged and
  // dropped.
  void Record(const std::string& job, const internal::MetricSamples& samples);

  void OnExecutorStart(const std::string& job);
  void OnExecutorEnd(const std::string& job, int rank);

 private:
  void RemoveIfIdle(const std::string& job, int64_t generation);

  MetricRegistry* const registry_;
  EventLoop* const loop_;
  const absl::Duration grace_;

  struct Job {
    int executors = 0;
    int64_t generation = 0;  // counts starts and ends
  };
  std::map<std::string, Job> jobs_;
};

// "abc" of "tenants/default/jobs/abc".
std::string JobIdOf(const std::string& job);

}  // namespace longspan::worker
