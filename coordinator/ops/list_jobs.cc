#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/job_to_wire.h"
#include "coordinator/ops/page.h"

namespace longspan::coordinator {
namespace {

std::string QuestionOf(const std::string& tenant,
                       const v1::ListJobsRequest& request) {
  std::string question = absl::StrCat("jobs/", tenant);
  std::set<int> states(request.states().begin(), request.states().end());
  for (int state : states) absl::StrAppend(&question, "/", state);
  return question;
}

bool Matches(const Job& job, const std::string& prefix,
             const v1::ListJobsRequest& request) {
  if (job.name.value().compare(0, prefix.size(), prefix) != 0) return false;
  if (request.states().empty()) return true;
  return std::find(request.states().begin(), request.states().end(),
                   JobStateToWire(job.state)) != request.states().end();
}

// Matching jobs that were created before `before`, newest first.
std::vector<JobSnapshot> Select(const JobTable& jobs, const std::string& prefix,
                                const v1::ListJobsRequest& request,
                                int64_t before) {
  std::vector<JobSnapshot> selected;
  for (const auto& [name, job] : jobs.jobs()) {
    if (job->create_revision < before && Matches(*job, prefix, request)) {
      selected.push_back(job);
    }
  }
  std::sort(selected.begin(), selected.end(),
            [](const JobSnapshot& a, const JobSnapshot& b) {
              return a->create_revision > b->create_revision;
            });
  return selected;
}

}  // namespace

absl::StatusOr<v1::ListJobsResponse> ListJobs(
    Core& core, const v1::ListJobsRequest& request) {
  absl::StatusOr<std::string> tenant = ParseTenant(request.parent());
  if (!tenant.ok()) return WithReason(tenant.status(), "INVALID_PARENT");
  ASSIGN_OR_RETURN(const int page_size, PageSize(request.page_size()));
  const std::string question = QuestionOf(*tenant, request);
  ASSIGN_OR_RETURN(PageCursor cursor,
                   DecodePage(request.page_token(), question));
  int64_t before = std::numeric_limits<int64_t>::max();
  if (!cursor.position.empty()) {
    (void)absl::SimpleAtoi(cursor.position, &before);
  }

  MutexLock lock(core.mu);
  if (request.page_token().empty()) cursor.revision = core.jobs.revision();
  const std::vector<JobSnapshot> selected = Select(
      core.jobs, absl::StrCat("tenants/", *tenant, "/jobs/"), request, before);
  v1::ListJobsResponse response;
  response.set_resume_token(absl::StrCat(cursor.revision));
  for (const JobSnapshot& job : selected) {
    if (response.jobs_size() == page_size) {
      response.set_next_page_token(EncodePage(cursor, question));
      break;
    }
    *response.add_jobs() = JobToWire(core, *job);
    cursor.position = absl::StrCat(job->create_revision);
  }
  return response;
}

}  // namespace longspan::coordinator
