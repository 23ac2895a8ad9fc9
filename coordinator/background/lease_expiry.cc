#include "coordinator/background/lease_expiry.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/log/log.h"
#include "coordinator/ops/core.h"

namespace longspan::coordinator {
namespace {

void LoseWorker(Core& core, const std::string& name) REQUIRES(core.mu) {
  LogWarning("worker lost: its lease ended", {{"worker", name}});
  core.probe.OnLeaseExpired();
  const std::map<int, SlotUse> uses = core.workers.Find(name)->uses;
  for (const auto& [slot, use] : uses) {
    const Gang* gang = core.FindGang(use.job);
    if (gang == nullptr || gang->epoch != use.epoch) continue;
    // The slot stays held: the executor may live on without the coordinator.
    core.ReportRank(
        use.job, use.rank,
        RankStatus{RankPhase::kLost, absl::StatusCode::kDeadlineExceeded,
                   absl::StrCat("worker ", name, " was lost: its lease ended"),
                   0, ""},
        false);
  }
}

// Streams of workers whose lease ended are closed, so that they register anew.
void CloseStreams(Core& core, const std::vector<int64_t>& connections)
    REQUIRES(core.mu) {
  for (int64_t connection : connections) {
    auto link = core.links.find(connection);
    if (link == core.links.end()) continue;
    link->second->Close(absl::AbortedError("the lease ended: register again"));
  }
}

std::vector<int64_t> ExpiringConnections(Core& core) REQUIRES(core.mu) {
  std::vector<int64_t> connections;
  for (const auto& [name, worker] : core.workers.workers()) {
    if (worker.connection != 0 && worker.lease_end <= core.monotonic()) {
      connections.push_back(worker.connection);
    }
  }
  return connections;
}

}  // namespace

const char* LeaseExpiry::name() const { return "lease expiry"; }

absl::Duration LeaseExpiry::period() const {
  return std::min<absl::Duration>(absl::Milliseconds(500),
                                  core_.options.leases.lease / 10);
}

void LeaseExpiry::Run() {
  MutexLock lock(core_.mu);
  const std::vector<int64_t> closing = ExpiringConnections(core_);
  const ExpiredLeases expired = core_.workers.Sweep(core_.monotonic());
  if (expired.lost.empty() && expired.forgotten.empty()) return;
  for (const std::string& name : expired.forgotten) {
    core_.probe.OnWorkerForgotten(name);
  }
  for (const std::string& name : expired.lost) {
    if (core_.workers.Find(name) != nullptr) LoseWorker(core_, name);
  }
  CloseStreams(core_, closing);
  core_.Reschedule();
}

}  // namespace longspan::coordinator
