// The coordinator's metrics: plain calls where things happen, names and
// registration here. Thread-safe.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "common/metrics/metric_registry.h"
#include "coordinator/cluster/worker.h"
#include "coordinator/job/job_table.h"
#include "coordinator/schedule/schedule.h"

namespace longspan::coordinator {

class CoordinatorProbe {
 public:
  // How many jobs wait, by priority and reason.
  using Waiting = std::map<int, std::map<PendingReasonKind, int>>;

  explicit CoordinatorProbe(MetricRegistry& metrics);

  // Priorities without any job lose their series. Callers take turns.
  void OnQueue(Waiting waiting);
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
  Waiting shown_;  // of OnQueue
};

}  // namespace longspan::coordinator
