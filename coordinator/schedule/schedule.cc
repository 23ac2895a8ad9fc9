#include "coordinator/schedule/schedule.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "coordinator/schedule/pending_reason.h"

namespace longspan::coordinator {
namespace {

// Smaller is served first.
std::tuple<bool, int, int64_t> QueueKey(const Job& job) {
  return {job.state != JobState::kRecovering, -job.demand.priority,
          job.create_revision};
}

void Occupy(const std::vector<Placement>& placements, const Job& job,
            Workers& workers) {
  for (const Placement& p : placements) {
    workers.at(p.worker).uses[p.slot] = SlotUse{job.name, 0, 0, p.rank};
  }
}

std::string WithNote(const Job& job, std::string reason) {
  if (job.pending_note.empty()) return reason;
  return job.pending_note + "; " + reason;
}

}  // namespace

bool WaitsForSlots(const Job& job) {
  return (job.state == JobState::kPending ||
          job.state == JobState::kRecovering) &&
         job.LiveAttempt() == nullptr;
}

bool ComesBack(const Job& job) {
  return job.state == JobState::kRecovering && job.LiveAttempt() != nullptr;
}

std::vector<JobSnapshot> QueueOrder(const JobTable& jobs) {
  std::vector<JobSnapshot> queue;
  for (const auto& [name, job] : jobs.jobs()) {
    if (WaitsForSlots(*job) || ComesBack(*job)) queue.push_back(job);
  }
  std::sort(queue.begin(), queue.end(),
            [](const JobSnapshot& a, const JobSnapshot& b) {
              return QueueKey(*a) < QueueKey(*b);
            });
  return queue;
}

std::vector<ScheduleDecision> Schedule(const std::vector<JobSnapshot>& queue,
                                       Workers workers) {
  std::vector<ScheduleDecision> decisions;
  std::map<std::string, JobSnapshot> heads;  // device kind -> who blocks it
  int position = 0;
  for (const JobSnapshot& job : queue) {
    ScheduleDecision decision{.job = job};
    const JobDemand& demand = job->demand;
    const bool possible =
        CapacityFor(demand, workers).largest_group >= demand.ranks;
    auto head = heads.find(demand.backend);
    if (ComesBack(*job)) {
      if (auto room = PlaceGang(demand, workers)) {
        Occupy(*room, *job, workers);  // kept for it
      } else if (possible) {
        heads.emplace(demand.backend, job);
      }
      continue;
    }
    if (!possible) {
      decision.pending_reason = ExplainImpossible(demand, workers);
    } else if (head != heads.end()) {
      decision.reason_kind = PendingReasonKind::kBehindAnother;
      decision.pending_reason = ExplainBlocked(*head->second);
    } else if (auto placements = PlaceGang(demand, workers)) {
      Occupy(*placements, *job, workers);
      decision.placements = *std::move(placements);
    } else {
      decision.reason_kind = PendingReasonKind::kDevicesInUse;
      decision.pending_reason = ExplainBusy(demand, workers);
      heads.emplace(demand.backend, job);
    }
    if (decision.placements.empty()) {
      decision.queue_position = ++position;
      decision.pending_reason =
          WithNote(*job, std::move(decision.pending_reason));
    }
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

}  // namespace longspan::coordinator
