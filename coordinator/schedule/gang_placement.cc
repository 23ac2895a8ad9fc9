#include "coordinator/schedule/gang_placement.h"

#include <algorithm>
#include <utility>

#include "coordinator/schedule/constraints.h"

namespace longspan::coordinator {
namespace {

struct WorkerSlots {
  std::string worker;
  std::vector<int> slots;  // ascending
};

// Gang key -> workers with qualifying free slots, by name.
using Groups = std::map<std::string, std::vector<WorkerSlots>>;

void AddFreeSlots(const JobDemand& demand, const Worker& worker,
                  Groups& groups) {
  if (!worker.Schedulable()) return;
  std::map<std::string, std::vector<int>> by_key;
  for (const Device& device : worker.info.devices) {
    if (worker.uses.contains(device.slot)) continue;
    if (FirstViolated(demand, worker, device) != nullptr) continue;
    by_key[GangKey(demand, worker, device)].push_back(device.slot);
  }
  for (auto& [key, slots] : by_key) {
    std::sort(slots.begin(), slots.end());
    groups[key].push_back({worker.name, std::move(slots)});
  }
}

Groups FreeGroups(const JobDemand& demand, const Workers& workers) {
  Groups groups;
  for (const auto& [name, worker] : workers) {
    AddFreeSlots(demand, worker, groups);
  }
  return groups;
}

int CountSlots(const std::vector<WorkerSlots>& group) {
  int count = 0;
  for (const WorkerSlots& worker : group) {
    count += static_cast<int>(worker.slots.size());
  }
  return count;
}

// Orders a group so that a gang is taken from its front.
void PreferFewWorkers(int ranks, std::vector<WorkerSlots>& group) {
  std::stable_sort(group.begin(), group.end(),
                   [ranks](const WorkerSlots& a, const WorkerSlots& b) {
                     const int na = static_cast<int>(a.slots.size());
                     const int nb = static_cast<int>(b.slots.size());
                     const bool holds_a = na >= ranks, holds_b = nb >= ranks;
                     if (holds_a != holds_b) return holds_a;
                     return holds_a ? na < nb : na > nb;
                   });
}

// The first ranks get as many whole replicas as each worker has slots for, the
// others what is left.
std::vector<Placement> Take(const JobDemand& demand,
                            const std::vector<WorkerSlots>& group) {
  const int replica =
      demand.replica_ranks > 0 ? demand.replica_ranks : demand.ranks;
  std::vector<Placement> placements;
  const auto take = [&](const WorkerSlots& worker, int begin, int end) {
    for (int i = begin; i < end; ++i) {
      const int rank = static_cast<int>(placements.size());
      if (rank == demand.ranks) return;
      placements.push_back({rank, worker.worker, worker.slots[i]});
    }
  };
  const auto whole = [&](int slots) { return slots / replica * replica; };
  for (const WorkerSlots& worker : group) {
    take(worker, 0, whole(static_cast<int>(worker.slots.size())));
  }
  for (const WorkerSlots& worker : group) {
    const int slots = static_cast<int>(worker.slots.size());
    take(worker, whole(slots), slots);
  }
  return placements;
}

}  // namespace

Capacity CapacityFor(const JobDemand& demand, const Workers& workers) {
  Capacity capacity;
  std::map<std::string, int> groups;
  for (const auto& [name, worker] : workers) {
    for (const Device& device : worker.info.devices) {
      if (FirstViolated(demand, worker, device) != nullptr) continue;
      ++capacity.total;
      const int group = ++groups[GangKey(demand, worker, device)];
      capacity.largest_group = std::max(capacity.largest_group, group);
      if (worker.Schedulable() && !worker.uses.contains(device.slot)) {
        ++capacity.free;
      }
    }
  }
  return capacity;
}

std::optional<std::vector<Placement>> PlaceGang(const JobDemand& demand,
                                                const Workers& workers) {
  for (auto& [key, group] : FreeGroups(demand, workers)) {
    if (CountSlots(group) < demand.ranks) continue;
    std::vector<WorkerSlots> ordered = group;
    PreferFewWorkers(demand.ranks, ordered);
    return Take(demand, ordered);
  }
  return std::nullopt;
}

}  // namespace longspan::coordinator
