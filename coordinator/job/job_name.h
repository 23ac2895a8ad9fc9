// Names of jobs and what hangs below them:
// tenants/{tenant}/jobs/{job}/attempts/{attempt}.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/base/strong_id.h"

namespace longspan::coordinator {

// The full resource name, "tenants/default/jobs/tiny-4f9a1c02".
using JobName = StrongId<struct JobNameTag, std::string>;

inline constexpr char kDefaultTenant[] = "default";

struct JobNameParts {
  std::string tenant;
  std::string job;
};

// [a-z0-9]([a-z0-9-]*[a-z0-9])?, at most 63 characters.
bool IsResourceId(std::string_view id);

absl::StatusOr<JobNameParts> ParseJobName(const std::string& name);

// "tenants/{tenant}" -> tenant; "" is the default tenant.
absl::StatusOr<std::string> ParseTenant(const std::string& parent);

JobName MakeJobName(const std::string& tenant, const std::string& job);

std::string AttemptName(const JobName& job, int attempt);

}  // namespace longspan::coordinator
