// Files given on the command line.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace longspan::cli {

// The whole file; "-" is stdin.
absl::StatusOr<std::string> ReadFileText(const std::string& path);

}  // namespace longspan::cli
