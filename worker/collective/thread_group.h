// A process group whose ranks are threads of one process and whose transport
// is shared memory: for tests of multi-rank code, and for one-process use.
//
// Same contract as every group (process_group.h). The rank that arrives last
// at a collective carries it out for all. Counters count the bytes that the
// Gloo group would send for the same calls. Breaking one rank's group, by
// Abort() or by a deadline, breaks the groups of all ranks, as it would over
// a network.
#pragma once

#include <memory>
#include <vector>

#include "worker/collective/process_group.h"

namespace longspan::worker {

// One group per rank, rank r at index r. They share one world, which lives as
// long as any of them.
std::vector<std::unique_ptr<ProcessGroup>> CreateThreadGroups(int size);

}  // namespace longspan::worker
