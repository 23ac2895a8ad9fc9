// What follows from a job's state and its ranks' reports. Level-triggered: the
// answer depends on what is, not on what happened last, so that nothing is
// missed when an event could not be journaled, a message was lost or the
// coordinator restarted.
//
// Pure.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/dispatch/gang.h"
#include "coordinator/job/job_event.h"

namespace longspan::coordinator {

struct GangTimeouts {
  // From the placement until every rank runs.
  absl::Duration start = absl::Minutes(5);
  // How long a job without a gang goes before all others.
  absl::Duration replacement = absl::Minutes(5);
};

struct GangTime {
  absl::Duration monotonic;
  absl::Time wall;
};

// The next event of the job, or none. `gang` is null when no attempt is live.
std::optional<JobEventBody> NextEvent(const Job& job, const Gang* gang,
                                      const GangTime& now,
                                      const GangTimeouts& timeouts);

// The message that every worker of the gang should get now.
enum class GangMessage { kNone, kStart, kStop };
GangMessage NextMessage(const Job& job, const Gang& gang);

// Why the ranks are stopped, for StopAttempt.
std::string StopReason(const Job& job);

}  // namespace longspan::coordinator
