#include "coordinator/background/job_advance.h"

#include <vector>

#include "coordinator/ops/core.h"

namespace longspan::coordinator {
const char* JobAdvance::name() const { return "job advance"; }

absl::Duration JobAdvance::period() const { return absl::Milliseconds(500); }

void JobAdvance::Run() {
  MutexLock lock(core_.mu);
  if (!core_.journal_status.ok()) {
    core_.journal_status = core_.journal.CheckWritable();
  }
  std::vector<JobName> names;
  for (const auto& [name, job] : core_.jobs.jobs()) {
    if (!IsFinal(job->state)) names.push_back(name);
  }
  for (const JobName& name : names) core_.Settle(name);
  core_.Reschedule();
}

}  // namespace longspan::coordinator
