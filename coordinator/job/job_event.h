// The events that change a job, as pure values.
//
// An event is built (Build), checked against the job it meets (CanApply) and
// applied (Apply). The three look only at their arguments: no clock, no
// thread, no log. Whatever CanApply refuses neither builds nor applies, so a
// journal of applied events always replays. The states an event may meet are
// written beside it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/job/job.h"

namespace longspan::coordinator {

// no job -> PENDING.
struct JobCreated {
  JobKind kind = JobKind::kTrain;
  std::shared_ptr<const std::string> spec;
  std::string spec_digest;
  JobDemand demand;
  std::string request_id;
};

// PENDING, RECOVERING without a gang -> STARTING.
struct GangPlaced {
  int attempt = 0;
  int64_t epoch = 0;
  std::string secret;
  std::vector<Placement> placements;  // ranks 0, 1, ... in order
};

// STARTING -> RUNNING.
struct AttemptRunning {
  int attempt = 0;
  int64_t resumed_step = 0;
};

// STARTING, RUNNING -> RECOVERING; RECOVERING and CANCELLING stay. Once a rank.
struct RankFailed {
  int attempt = 0;
  int rank = 0;
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string error;
};

// Any state with a gang; the step must be newer.
struct CheckpointRecorded {
  int attempt = 0;
  int64_t step = 0;
};

// RECOVERING, CANCELLING: the last rank of the gang is gone.
struct AttemptEnded {
  int attempt = 0;
  std::string reason;
};

// RECOVERING without a gang -> PENDING.
struct JobRequeued {
  std::string reason;
};

// PENDING, STARTING, RUNNING, RECOVERING -> CANCELLING.
struct CancelRequested {
  std::string reason;
};

// RUNNING, CANCELLING with a gang -> SUCCEEDED; ends the attempt.
struct JobSucceeded {
  int attempt = 0;
  std::shared_ptr<const std::string> result;
};

// PENDING, RECOVERING without a gang -> FAILED.
struct JobFailed {
  std::string error;
};

// CANCELLING without a gang -> CANCELLED.
struct JobCancelled {};

// A final state -> no job.
struct JobDeleted {};

using JobEventBody =
    std::variant<JobCreated, GangPlaced, AttemptRunning, RankFailed,
                 CheckpointRecorded, AttemptEnded, JobRequeued, CancelRequested,
                 JobSucceeded, JobFailed, JobCancelled, JobDeleted>;

struct JobEvent {
  JobName job;
  absl::Time time;
  JobEventBody body;
};

const char* EventName(const JobEventBody& body);  // "GangPlaced"

// `job` is null when there is no such job. FailedPrecondition names the event,
// the job and its state.
absl::Status CanApply(const Job* job, const JobEvent& event);

// The job after the event; null after JobDeleted. Requires CanApply. `revision`
// becomes the job's.
std::shared_ptr<const Job> Apply(const Job* job, const JobEvent& event,
                                 int64_t revision);

// The event, if it may be applied to `job`.
absl::StatusOr<JobEvent> Build(const Job& job, absl::Time time,
                               JobEventBody body);

// Numbers the attempt and its epoch.
absl::StatusOr<JobEvent> BuildGangPlaced(const Job& job, absl::Time time,
                                         std::vector<Placement> placements,
                                         std::string secret);

}  // namespace longspan::coordinator
