#include "coordinator/job/job_name.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace longspan::coordinator {
namespace {

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

}  // namespace

bool IsResourceId(std::string_view id) {
  return !id.empty() && id.size() <= 63 && id.front() != '-' &&
         id.back() != '-' && std::all_of(id.begin(), id.end(), IsIdCharacter);
}

absl::StatusOr<JobNameParts> ParseJobName(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  if (parts.size() != 4 || parts[0] != "tenants" || parts[2] != "jobs" ||
      !IsResourceId(parts[1]) || !IsResourceId(parts[3])) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name.substr(0, 200),
                     "' is not a job name: write "
                     "tenants/{tenant}/jobs/{job}"));
  }
  return JobNameParts{parts[1], parts[3]};
}

absl::StatusOr<std::string> ParseTenant(const std::string& parent) {
  if (parent.empty()) return std::string(kDefaultTenant);
  const std::vector<std::string> parts = absl::StrSplit(parent, '/');
  if (parts.size() != 2 || parts[0] != "tenants" || !IsResourceId(parts[1])) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", parent.substr(0, 200),
                     "' is not a parent: write tenants/{tenant}, or nothing "
                     "for tenants/default"));
  }
  return parts[1];
}

JobName MakeJobName(const std::string& tenant, const std::string& job) {
  return JobName(absl::StrCat("tenants/", tenant, "/jobs/", job));
}

std::string AttemptName(const JobName& job, int attempt) {
  return absl::StrCat(job.value(), "/attempts/", attempt);
}

}  // namespace longspan::coordinator
