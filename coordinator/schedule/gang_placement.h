// Chooses the slots of one gang: all of them or none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster/worker.h"
#include "coordinator/job/job.h"

namespace longspan::coordinator {

using Workers = std::map<std::string, Worker>;

// How much of the cluster suits a job.
struct Capacity {
  int free = 0;   // qualifying slots that are free now
  int total = 0;  // qualifying slots of all workers, used and lost ones too
  int largest_group = 0;  // of `total`, the most that fit into one gang
};

Capacity CapacityFor(const JobDemand& demand, const Workers& workers);

// Ranks in order on qualifying free slots: neighbours on as few workers as
// possible, of one build and instruction set. The worker with the fewest free
// slots that still holds the gang is preferred; otherwise the fullest free
// workers come first. Ties go by name, so equal clusters give equal places.
// None if the free slots do not suffice.
std::optional<std::vector<Placement>> PlaceGang(const JobDemand& demand,
                                                const Workers& workers);

}  // namespace longspan::coordinator
