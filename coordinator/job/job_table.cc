#include "coordinator/job/job_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::coordinator {
namespace {

std::string TenantOf(const JobName& name) {
  absl::StatusOr<JobNameParts> parts = ParseJobName(name.value());
  return parts.ok() ? parts->tenant : "";
}

}  // namespace

JobSnapshot JobTable::Find(const JobName& name) const {
  auto found = jobs_.find(name);
  return found == jobs_.end() ? nullptr : found->second;
}

JobSnapshot JobTable::FindByRequest(const std::string& tenant,
                                    const std::string& request_id) const {
  auto found = requests_.find({tenant, request_id});
  return found == requests_.end() ? nullptr : Find(found->second);
}

absl::StatusOr<JobSnapshot> JobTable::Apply(const JobEvent& event,
                                            int64_t revision) {
  if (revision <= revision_) {
    return absl::FailedPreconditionError(
        absl::StrCat("event ", revision, " does not follow event ", revision_));
  }
  const JobSnapshot before = Find(event.job);
  RETURN_IF_ERROR(CanApply(before.get(), event));
  JobSnapshot after = coordinator::Apply(before.get(), event, revision);
  Index(event.job, before, after);
  revision_ = revision;
  return after;
}

void JobTable::Index(const JobName& name, const JobSnapshot& before,
                     const JobSnapshot& after) {
  const JobSnapshot& known = after != nullptr ? after : before;
  const std::pair<std::string, std::string> key = {TenantOf(name),
                                                   known->request_id};
  if (after == nullptr) {
    jobs_.erase(name);
    requests_.erase(key);
    return;
  }
  jobs_[name] = after;
  if (!known->request_id.empty()) requests_.insert({key, name});
}

absl::Status JobTable::CanApplyAll(const std::vector<JobEvent>& events) const {
  std::map<JobName, JobSnapshot> changed;
  for (const JobEvent& event : events) {
    auto [entry, fresh] = changed.try_emplace(event.job, nullptr);
    if (fresh) entry->second = Find(event.job);
    RETURN_IF_ERROR(CanApply(entry->second.get(), event));
    entry->second = coordinator::Apply(entry->second.get(), event, 0);
  }
  return absl::OkStatus();
}

void JobTable::SkipTo(int64_t revision) {
  revision_ = std::max(revision_, revision);
}

}  // namespace longspan::coordinator
