// Files given on the command line.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace longspan::cli {

// The whole file; "-" is stdin.
absl::StatusOr<std::string> ReadFileText(const std::string& path);

// Replaces the file.
absl::Status WriteFileText(const std::string& path, const std::string& text);

}  // namespace longspan::cli
