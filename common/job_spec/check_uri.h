// `root://path` URIs of job specs, by their text alone. The same rules are
// enforced again, on the file system, where a path is opened
// (common/base/safe_path.h).
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace longspan {

// OK for "corpus://books/moby.txt.gz". Refused: no root, an empty path, "..",
// backslashes, '%', control characters, more than 2048 characters.
absl::Status CheckRootUri(std::string_view uri);

// OK for "tenants/default/jobs/01j...": names of [a-z0-9-].
absl::Status CheckJobName(std::string_view name);

}  // namespace longspan
