// All jobs, as immutable snapshots, and the index of request ids. A pure value:
// events in, snapshots out. Not thread-safe; the core guards it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/job/job.h"
#include "coordinator/job/job_event.h"

namespace longspan::coordinator {

using JobSnapshot = std::shared_ptr<const Job>;

class JobTable {
 public:
  // Null if there is none.
  JobSnapshot Find(const JobName& name) const;
  JobSnapshot FindByRequest(const std::string& tenant,
                            const std::string& request_id) const;

  // By name.
  const std::map<JobName, JobSnapshot>& jobs() const { return jobs_; }

  // Revision of the newest event; 0 at the beginning.
  int64_t revision() const { return revision_; }

  // Applies an event with a revision above revision(). Returns the job after
  // it, null if it was deleted.
  absl::StatusOr<JobSnapshot> Apply(const JobEvent& event, int64_t revision);

  // Whether `events` could be applied one after the other.
  absl::Status CanApplyAll(const std::vector<JobEvent>& events) const;

  // After compaction the newest events may be gone; new ones go on from here.
  void SkipTo(int64_t revision);

 private:
  void Index(const JobName& name, const JobSnapshot& before,
             const JobSnapshot& after);

  std::map<JobName, JobSnapshot> jobs_;
  // (tenant, request id) -> job.
  std::map<std::pair<std::string, std::string>, JobName> requests_;
  int64_t revision_ = 0;
};

}  // namespace longspan::coordinator
