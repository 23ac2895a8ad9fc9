#include "coordinator/ops/coordinator_probe.h"

#include <utility>

namespace longspan::coordinator {
namespace {

const char* ReasonName(PendingReasonKind kind) {
  switch (kind) {
    case PendingReasonKind::kNoCapacity:
      return "no_capacity";
    case PendingReasonKind::kDevicesInUse:
      return "devices_in_use";
    case PendingReasonKind::kBehindAnother:
      return "behind_another";
  }
  return "unknown";
}

}  // namespace

// A counter that starts at 0 shows its first increment as one.
CoordinatorProbe::CoordinatorProbe(MetricRegistry& metrics)
    : metrics_(metrics) {
  metrics_.GetCounter(MetricId::kLeaseExpirations);
}

void CoordinatorProbe::OnQueue(Waiting waiting) {
  // Priority 0 is always shown, so that an empty queue is a 0 and not a gap.
  waiting.try_emplace(0);
  for (const auto& [priority, counts] : shown_) {
    if (waiting.contains(priority)) continue;
    metrics_.RemoveSeries("priority", std::to_string(priority));
  }
  for (auto& [priority, counts] : waiting) {
    for (PendingReasonKind kind : kAllPendingReasonKinds) {
      metrics_
          .GetGauge(MetricId::kQueueLength,
                    {std::to_string(priority), ReasonName(kind)})
          .Set(counts[kind]);
    }
  }
  shown_ = std::move(waiting);
}

void CoordinatorProbe::OnJobs(const JobTable& jobs) {
  std::map<JobState, int> counts;
  for (const auto& [name, job] : jobs.jobs()) ++counts[job->state];
  for (JobState state : kAllJobStates) {
    metrics_.GetGauge(MetricId::kJobs, {JobStateName(state)})
        .Set(counts[state]);
  }
}

void CoordinatorProbe::OnWorkers(const std::map<std::string, Worker>& workers) {
  std::map<WorkerState, int> counts;
  for (const auto& [name, worker] : workers) {
    ++counts[worker.state];
    metrics_.GetGauge(MetricId::kWorkerUp, {name})
        .Set(worker.state == WorkerState::kLost ? 0 : 1);
  }
  for (WorkerState state : kAllWorkerStates) {
    metrics_.GetGauge(MetricId::kWorkers, {WorkerStateName(state)})
        .Set(counts[state]);
  }
}

void CoordinatorProbe::OnHeartbeat(const Worker& worker) {
  metrics_.GetGauge(MetricId::kWorkerLastHeartbeat, {worker.name})
      .Set(absl::ToDoubleSeconds(worker.last_heartbeat - absl::UnixEpoch()));
}

void CoordinatorProbe::OnWorkerForgotten(const std::string& worker) {
  metrics_.RemoveSeries("worker", worker);
}

void CoordinatorProbe::OnLeaseExpired() {
  metrics_.GetCounter(MetricId::kLeaseExpirations).Increment();
}

void CoordinatorProbe::OnRestart(absl::StatusCode cause) {
  metrics_.GetCounter(MetricId::kJobRestarts, {absl::StatusCodeToString(cause)})
      .Increment();
}

void CoordinatorProbe::OnRpc(const std::string& method, absl::StatusCode code) {
  metrics_
      .GetCounter(MetricId::kRpcRequests,
                  {method, absl::StatusCodeToString(code)})
      .Increment();
}

}  // namespace longspan::coordinator
