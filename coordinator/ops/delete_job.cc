#include "common/base/status_macros.h"
#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"

namespace longspan::coordinator {

absl::Status DeleteJob(Core& core, const v1::DeleteJobRequest& request) {
  absl::StatusOr<JobNameParts> parts = ParseJobName(request.name());
  if (!parts.ok()) return WithReason(parts.status(), "INVALID_JOB_NAME");
  const JobName name(request.name());
  MutexLock lock(core.mu);
  const JobSnapshot job = core.jobs.Find(name);
  if (job == nullptr) return JobNotFound(request.name());
  absl::StatusOr<JobEvent> event = Build(*job, core.wall(), JobDeleted{});
  if (!event.ok()) {
    return WithReason(absl::FailedPreconditionError(
                          request.name() + " is " + JobStateName(job->state) +
                          ": cancel it before deleting it"),
                      "JOB_NOT_FINISHED", {{"job", request.name()}});
  }
  RETURN_IF_ERROR(core.Commit({*std::move(event)}));
  core.tokens.Forget(name);
  if (absl::Status status = core.logs.Remove(name); !status.ok()) {
    LogWarning("a job's log cannot be removed",
               {{"job", name.value()}, {"error", status.ToString()}});
  }
  return absl::OkStatus();
}

}  // namespace longspan::coordinator
