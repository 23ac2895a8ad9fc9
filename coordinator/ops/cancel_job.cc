#include "common/base/status_macros.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/job_to_wire.h"

namespace longspan::coordinator {

absl::StatusOr<v1::Job> CancelJob(Core& core,
                                  const v1::CancelJobRequest& request) {
  absl::StatusOr<JobNameParts> parts = ParseJobName(request.name());
  if (!parts.ok()) return WithReason(parts.status(), "INVALID_JOB_NAME");
  const JobName name(request.name());
  MutexLock lock(core.mu);
  const JobSnapshot job = core.jobs.Find(name);
  if (job == nullptr) return JobNotFound(request.name());
  if (job->state == JobState::kCancelling) return JobToWire(core, *job);
  absl::StatusOr<JobEvent> event = Build(
      *job, core.wall(), CancelRequested{request.reason().substr(0, 500)});
  if (!event.ok()) {
    return WithReason(absl::FailedPreconditionError(
                          request.name() + " is " + JobStateName(job->state) +
                          ": only unfinished jobs are cancelled"),
                      "JOB_FINISHED", {{"job", request.name()}});
  }
  RETURN_IF_ERROR(core.Commit({*std::move(event)}));
  core.Settle(name);
  core.Reschedule();
  return JobToWire(core, *core.jobs.Find(name));
}

}  // namespace longspan::coordinator
