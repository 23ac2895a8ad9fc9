// The coordinator's metrics: plain calls where things happen, names and
// registration here. Thread-safe.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "common/metrics/metric_registry.h"
#include "coordinator/cluster/worker.h"
#include "coordinator/job/job_table.h"

namespace longspan::coordinator {

class CoordinatorProbe {
 public:
  explicit CoordinatorProbe(MetricRegistry& metrics) : metrics_(metrics) {}

  // Waiting jobs by priority; priorities without any lose their series.
  // Callers take turns.
  void OnQueue(std::map<int, int> waiting_by_priority);
  void OnJobs(const JobTable& jobs);
  void OnWorkers(const std::map<std::string, Worker>& workers);
  void OnHeartbeat(const Worker& worker);
  void OnWorkerForgotten(const std::string& worker);
  void OnLeaseExpired();
  // An attempt after a failed one.
  void OnRestart(absl::StatusCode cause);
  void OnRpc(const std::string& method, absl::StatusCode code);

 private:
  MetricRegistry& metrics_;
  std::map<int, int> shown_;  // of OnQueue
};

}  // namespace longspan::coordinator
