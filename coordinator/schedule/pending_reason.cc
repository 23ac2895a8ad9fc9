#include "coordinator/schedule/pending_reason.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/units.h"
#include "coordinator/schedule/constraints.h"

namespace longspan::coordinator {
namespace {

std::string Slots(int count, const std::string& kind) {
  return absl::StrCat(count, " ", kind, count == 1 ? " slot" : " slots");
}

std::string DemandText(const JobDemand& demand) {
  std::string text = Slots(demand.ranks, demand.backend);
  if (demand.threads > 0) {
    absl::StrAppend(&text, " of ", demand.threads, " threads");
  }
  if (demand.memory_bytes > 0) {
    absl::StrAppend(&text, " with ", FormatBytes(demand.memory_bytes));
  }
  return text;
}

// The slots that fail a constraint, counted by the constraint.
std::map<std::string, int> CountViolations(const JobDemand& demand,
                                           const Workers& workers) {
  std::map<std::string, int> counts;
  for (const auto& [name, worker] : workers) {
    for (const Device& device : worker.info.devices) {
      const Constraint* violated = FirstViolated(demand, worker, device);
      if (violated != nullptr) ++counts[violated->name];
    }
  }
  return counts;
}

// "2 used by tenants/default/jobs/a", "1 held by lost worker w1".
std::string ExplainUses(const Workers& workers) {
  std::map<std::string, int> users;
  for (const auto& [name, worker] : workers) {
    for (const auto& [slot, use] : worker.uses) {
      ++users[worker.state == WorkerState::kLost
                  ? absl::StrCat("held by lost worker ", name)
                  : absl::StrCat("used by ", use.job.value())];
    }
    if (worker.state == WorkerState::kDraining) {
      users[absl::StrCat("on draining worker ", name)] +=
          static_cast<int>(worker.info.devices.size() - worker.uses.size());
    }
  }
  std::vector<std::string> parts;
  for (const auto& [user, count] : users) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", user));
  }
  return absl::StrJoin(parts, ", ");
}

}  // namespace

std::string ExplainImpossible(const JobDemand& demand, const Workers& workers) {
  if (workers.empty()) {
    return absl::StrCat("needs ", DemandText(demand),
                        "; no worker is registered");
  }
  const Capacity capacity = CapacityFor(demand, workers);
  std::string text =
      absl::StrCat("needs ", DemandText(demand), "; of the registered slots ",
                   capacity.total, " qualify");
  if (capacity.total >= demand.ranks) {
    absl::StrAppend(&text, ", but at most ", capacity.largest_group,
                    " share a build and instruction set");
  }
  for (const auto& [name, count] : CountViolations(demand, workers)) {
    absl::StrAppend(&text, ", ", count, " lack ", name);
  }
  return text;
}

std::string ExplainBusy(const JobDemand& demand, const Workers& workers) {
  const Capacity capacity = CapacityFor(demand, workers);
  std::string text =
      absl::StrCat("needs ", DemandText(demand), "; ", capacity.free, " of ",
                   capacity.total, " are free");
  const std::string uses = ExplainUses(workers);
  if (!uses.empty()) absl::StrAppend(&text, " (", uses, ")");
  return text;
}

std::string ExplainBlocked(const Job& head) {
  return absl::StrCat("waits behind ", head.name.value(), ", which needs ",
                      Slots(head.demand.ranks, head.demand.backend),
                      "; smaller jobs do not overtake it");
}

}  // namespace longspan::coordinator
