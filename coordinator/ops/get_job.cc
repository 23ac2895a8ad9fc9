#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/job_to_wire.h"

namespace longspan::coordinator {

absl::StatusOr<v1::Job> GetJob(Core& core, const v1::GetJobRequest& request) {
  absl::StatusOr<JobNameParts> parts = ParseJobName(request.name());
  if (!parts.ok()) return WithReason(parts.status(), "INVALID_JOB_NAME");
  MutexLock lock(core.mu);
  const JobSnapshot job = core.jobs.Find(JobName(request.name()));
  if (job == nullptr) return JobNotFound(request.name());
  return JobToWire(core, *job);
}

}  // namespace longspan::coordinator
