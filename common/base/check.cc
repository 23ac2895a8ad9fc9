#include "common/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace longspan::check_internal {

Failure::Failure(const char* file, int line, const std::string& what) {
  stream_ << file << ":" << line << ": check failed: " << what << " ";
}

Failure::~Failure() {
  const std::string message = stream_.str();
  std::fprintf(stderr, "%s\n", message.c_str());
  std::fflush(stderr);
  std::abort();
}

std::optional<std::string> CompareOk(const absl::Status& status,
                                     const char* expression) {
  if (status.ok()) return std::nullopt;
  return std::string(expression) + " is " + status.ToString();
}

}  // namespace longspan::check_internal
