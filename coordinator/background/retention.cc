#include "coordinator/background/retention.h"

#include <algorithm>
#include <vector>

#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/job_operations.h"

namespace longspan::coordinator {
namespace {

// Finished jobs beyond the limits, oldest end first.
std::vector<JobName> Retired(Core& core) REQUIRES(core.mu) {
  std::vector<JobSnapshot> finished;
  for (const auto& [name, job] : core.jobs.jobs()) {
    if (IsFinal(job->state)) finished.push_back(job);
  }
  std::sort(finished.begin(), finished.end(),
            [](const JobSnapshot& a, const JobSnapshot& b) {
              return a->end_time < b->end_time;
            });
  std::vector<JobName> retired;
  const size_t limit = core.options.max_finished_jobs;
  const absl::Time oldest = core.wall() - core.options.finished_retention;
  for (size_t i = 0; i < finished.size(); ++i) {
    if (finished.size() - i > limit || finished[i]->end_time < oldest) {
      retired.push_back(finished[i]->name);
    }
  }
  return retired;
}

}  // namespace

const char* Retention::name() const { return "retention"; }

absl::Duration Retention::period() const { return absl::Minutes(1); }

void Retention::Run() {
  std::vector<JobName> retired;
  {
    MutexLock lock(core_.mu);
    retired = Retired(core_);
  }
  for (const JobName& name : retired) {
    v1::DeleteJobRequest request;
    request.set_name(name.value());
    if (absl::Status status = DeleteJob(core_, request); !status.ok()) {
      LogWarning("a finished job cannot be deleted",
                 {{"job", name.value()}, {"error", status.ToString()}});
    }
  }
  MutexLock lock(core_.mu);
  core_.CompactJournal();
}

}  // namespace longspan::coordinator
