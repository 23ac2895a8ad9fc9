// Which slots may hold a rank of a job: a list of named constraints, each a
// pure function of its arguments.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/cluster/worker.h"
#include "coordinator/job/job.h"

namespace longspan::coordinator {

// One constraint: whether a rank of `demand` may run on `device` of `worker`.
struct Constraint {
  const char* name;         // "device kind"
  const char* requirement;  // ends "no slot ...": "is a device of that kind"
  bool (*holds)(const JobDemand& demand, const Worker& worker,
                const Device& device);
};

bool HasDeviceKind(const JobDemand&, const Worker&, const Device&);
bool HasThreads(const JobDemand&, const Worker&, const Device&);
bool HasMemory(const JobDemand&, const Worker&, const Device&);
bool HasRoots(const JobDemand&, const Worker&, const Device&);
// GPUs of one gang talk over NCCL; one GPU alone needs none.
bool HasNccl(const JobDemand&, const Worker&, const Device&);

// In the order in which they are checked and explained.
const std::vector<Constraint>& Constraints();

// The first constraint that does not hold, or null.
const Constraint* FirstViolated(const JobDemand& demand, const Worker& worker,
                                const Device& device);

// Ranks of one gang must come from the same build, on the same instruction set
// and NCCL: otherwise their bits differ. Slots with equal keys fit together.
std::string GangKey(const JobDemand& demand, const Worker& worker,
                    const Device& device);

}  // namespace longspan::coordinator
