#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_to_wire.h"
#include "coordinator/ops/wire_time.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {
namespace {

SlotUse UseOf(const v1::RunningRank& running) {
  return SlotUse{JobName(running.key().job()), running.key().attempt(),
                 running.key().epoch(), running.rank()};
}

// Whether the rank is part of a gang that should go on.
bool IsWanted(Core& core, const SlotUse& use) REQUIRES(core.mu) {
  const JobSnapshot job = core.jobs.Find(use.job);
  const Gang* gang = core.FindGang(use.job);
  if (job == nullptr || gang == nullptr || gang->epoch != use.epoch) {
    return false;
  }
  return (job->state == JobState::kStarting ||
          job->state == JobState::kRunning) &&
         use.rank >= 0 && use.rank < static_cast<int>(gang->ranks.size()) &&
         !HasEnded(gang->ranks[use.rank].phase);
}

// The ranks that the worker still has, as it says.
std::vector<v1::RunningRank> Unwanted(Core& core, const v1::Register& message)
    REQUIRES(core.mu) {
  std::vector<v1::RunningRank> unwanted;
  for (const v1::RunningRank& running : message.running()) {
    if (!IsWanted(core, UseOf(running))) unwanted.push_back(running);
  }
  return unwanted;
}

void SendRegistered(Core& core, const std::string& worker,
                    const std::vector<v1::RunningRank>& stop)
    REQUIRES(core.mu) {
  v1::CoordinatorMessage message;
  v1::Registered& out = *message.mutable_registered();
  WriteDuration(core.options.leases.lease, out.mutable_lease());
  WriteDuration(core.options.leases.lease / 3, out.mutable_renew_interval());
  WriteDuration(core.options.leases.detached_timeout,
                out.mutable_detached_timeout());
  for (const v1::RunningRank& rank : stop) *out.add_stop() = rank;
  core.SendTo(worker, message);
}

// A rank that the coordinator believes on this worker, but the worker has not.
void SettleMissing(Core& core, const Worker& worker, int slot,
                   const SlotUse& use) REQUIRES(core.mu) {
  const std::string name = worker.name;
  const JobSnapshot job = core.jobs.Find(use.job);
  Gang* gang = core.FindGang(use.job);
  const bool live = gang != nullptr && gang->epoch == use.epoch;
  if (live && IsWanted(core, use) && job->state == JobState::kStarting &&
      gang->ranks[use.rank].phase == RankPhase::kAssigned) {
    // The stream broke before the Assignment arrived.
    core.SendAssignment(*job, job->LiveAttempt()->placements[use.rank]);
    return;
  }
  core.workers.Release(name, slot, use);
  if (!live) return;
  core.ReportRank(
      use.job, use.rank,
      // Not UNAVAILABLE, which is what its neighbours report.
      RankStatus{RankPhase::kLost, absl::StatusCode::kUnknown,
                 absl::StrCat("worker ", name, " no longer has the executor"),
                 0, ""},
      false);
}

void SettleMissingRanks(Core& core, const std::string& name,
                        const v1::Register& message) REQUIRES(core.mu) {
  const Worker& worker = *core.workers.Find(name);
  std::set<std::pair<int, int64_t>> present;  // slot, epoch
  for (const v1::RunningRank& running : message.running()) {
    present.insert({running.slot(), running.key().epoch()});
  }
  const std::map<int, SlotUse> uses = worker.uses;
  for (const auto& [slot, use] : uses) {
    if (!present.contains({slot, use.epoch})) {
      SettleMissing(core, worker, slot, use);
    }
  }
}

// Executors that nobody placed there hold their slots until they are gone.
void HoldUnknownRanks(Core& core, const std::string& name,
                      const std::vector<v1::RunningRank>& unwanted)
    REQUIRES(core.mu) {
  for (const v1::RunningRank& running : unwanted) {
    const Worker& worker = *core.workers.Find(name);
    if (!worker.uses.contains(running.slot())) {
      core.workers.Use(name, running.slot(), UseOf(running));
    }
  }
}

// The gangs of the worker whose start it may have missed.
void RepeatStarts(Core& core, const std::string& name,
                  const v1::Register& message) REQUIRES(core.mu) {
  std::set<JobName> jobs;
  for (const v1::RunningRank& running : message.running()) {
    if (IsWanted(core, UseOf(running))) jobs.insert(UseOf(running).job);
  }
  for (const JobName& job : jobs) {
    if (core.FindGang(job)->start_sent) {
      core.SendStart(*core.jobs.Find(job), name);
    }
  }
}

absl::Status CheckApiVersion(const v1::Register& message) {
  const v1::WorkerInfo& info = message.info();
  if (info.api_version_min() <= kApiVersion &&
      kApiVersion <= info.api_version_max()) {
    return absl::OkStatus();
  }
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "worker ", message.worker(), " speaks API versions ",
                        info.api_version_min(), " to ", info.api_version_max(),
                        ", this coordinator speaks ", kApiVersion,
                        ": install the same release on both")),
                    "UNSUPPORTED_VERSION");
}

void CloseEarlierStream(Core& core, const std::string& name, int64_t connection)
    REQUIRES(core.mu) {
  const Worker* known = core.workers.Find(name);
  if (known == nullptr || known->connection == connection) return;
  auto link = core.links.find(known->connection);
  if (link == core.links.end()) return;
  link->second->Close(absl::AbortedError("the worker opened a newer stream"));
}

}  // namespace

absl::Status RegisterWorker(Core& core, int64_t connection,
                            const v1::Register& message) {
  RETURN_IF_ERROR(CheckApiVersion(message));
  MutexLock lock(core.mu);
  const Registration registration = {message.worker(), message.incarnation(),
                                     WorkerFromWire(message.info()),
                                     connection};
  absl::Status allowed =
      core.workers.CheckRegistration(registration, core.monotonic());
  if (!allowed.ok()) {
    return WithReason(std::move(allowed), "REGISTRATION_REFUSED",
                      {{"worker", message.worker()}});
  }
  CloseEarlierStream(core, message.worker(), connection);
  core.workers.Register(registration, core.monotonic(), core.wall());
  core.probe.OnHeartbeat(*core.workers.Find(message.worker()));
  LogInfo("worker registered", {{"worker", message.worker()},
                                {"devices", message.info().devices_size()},
                                {"running", message.running_size()}});
  const std::vector<v1::RunningRank> unwanted = Unwanted(core, message);
  SendRegistered(core, message.worker(), unwanted);
  SettleMissingRanks(core, message.worker(), message);
  HoldUnknownRanks(core, message.worker(), unwanted);
  RepeatStarts(core, message.worker(), message);
  core.Reschedule();
  return absl::OkStatus();
}

}  // namespace longspan::coordinator
