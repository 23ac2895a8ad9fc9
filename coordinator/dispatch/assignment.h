// The messages that place, start and stop ranks, and the check of the key that
// every message of a worker carries.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/job/job.h"

namespace longspan::v1 {
class AttemptKey;
class CoordinatorMessage;
class Plan;
}  // namespace longspan::v1

namespace longspan::coordinator {

struct AssignmentOptions {
  absl::Duration rendezvous_timeout = absl::Minutes(1);
  absl::Duration collective_timeout = absl::Minutes(5);
  absl::Duration stop_grace = absl::Seconds(30);
};

// What every rank of an attempt is told alike.
struct AssignmentContext {
  const v1::Plan* plan = nullptr;
  std::string model_uri;
  std::string checkpoint_uri;
};

void WriteKey(const JobName& job, const Attempt& attempt, v1::AttemptKey* key);

v1::CoordinatorMessage MakeAssignment(const Job& job, const Attempt& attempt,
                                      const Placement& placement,
                                      const AssignmentContext& context,
                                      const AssignmentOptions& options);

v1::CoordinatorMessage MakeStart(const JobName& job, const Attempt& attempt);

v1::CoordinatorMessage MakeStop(const v1::AttemptKey& key,
                                const std::string& reason,
                                absl::Duration grace);

v1::CoordinatorMessage MakeRefused(const std::string& reason,
                                   const std::string& message,
                                   const v1::AttemptKey& key);

// Fencing: OK iff the key names the live attempt of `job` (null: none). Aborted
// for an older epoch or an attempt that ended; NotFound for an unknown job.
absl::Status CheckKey(const Job* job, const v1::AttemptKey& key);

// STALE_EPOCH or UNKNOWN_ATTEMPT, for a status of CheckKey.
std::string RefusalReason(const absl::Status& status);

}  // namespace longspan::coordinator
