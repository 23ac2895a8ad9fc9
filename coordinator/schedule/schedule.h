// Who runs next. FIFO within a priority; recovering jobs before all others; a
// gang gets all of its slots or none.
//
// A job that waits for slots blocks the jobs behind it that want the same kind
// of device, so that big jobs never starve. A job that the registered workers
// could not hold even if they were idle blocks nobody. A job whose gang failed
// blocks from then on, while its other ranks stop: the slots that they leave
// one by one are not given away before it is back in the queue.
//
// Pure: the same queue and workers give the same decisions.
#pragma once

#include <string>
#include <vector>

#include "coordinator/job/job.h"
#include "coordinator/job/job_table.h"
#include "coordinator/schedule/gang_placement.h"

namespace longspan::coordinator {

// Why a job waits; its pending reason says it in a sentence with the numbers.
enum class PendingReasonKind {
  kNoCapacity,     // more than all workers have, even if they were idle
  kDevicesInUse,   // its slots are in use or held
  kBehindAnother,  // it may not overtake a job that waits for its slots
};

inline constexpr PendingReasonKind kAllPendingReasonKinds[] = {
    PendingReasonKind::kNoCapacity,
    PendingReasonKind::kDevicesInUse,
    PendingReasonKind::kBehindAnother,
};

// What becomes of one waiting job. Without placements it waits.
struct ScheduleDecision {
  JobSnapshot job;
  std::vector<Placement> placements;
  // While it waits.
  PendingReasonKind reason_kind = PendingReasonKind::kNoCapacity;
  std::string pending_reason;
  int queue_position = 0;  // from 1; 0 when placed
};

// Whether a job wants slots: PENDING, or RECOVERING without a gang.
bool WaitsForSlots(const Job& job);

// Whether a job will want slots again as soon as its gang has stopped.
bool ComesBack(const Job& job);

// The jobs that wait or come back, in the order in which they are served.
std::vector<JobSnapshot> QueueOrder(const JobTable& jobs);

// One decision for every job of the queue that waits, in its order.
std::vector<ScheduleDecision> Schedule(const std::vector<JobSnapshot>& queue,
                                       Workers workers);

}  // namespace longspan::coordinator
