#include "common/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "common/base/check_failure_printer.h"

namespace longspan {
namespace {

void PrintToStderr(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::fflush(stderr);
}

std::atomic<CheckFailurePrinter> printer_of_failures = PrintToStderr;

}  // namespace

void SetCheckFailurePrinter(CheckFailurePrinter printer) {
  printer_of_failures = printer == nullptr ? PrintToStderr : printer;
}

}  // namespace longspan

namespace longspan::check_internal {

Failure::Failure(const char* file, int line, const std::string& what) {
  stream_ << file << ":" << line << ": check failed: " << what << " ";
}

Failure::~Failure() {
  printer_of_failures.load()(stream_.str());
  std::abort();
}

std::optional<std::string> CompareOk(const absl::Status& status,
                                     const char* expression) {
  if (status.ok()) return std::nullopt;
  return std::string(expression) + " is " + status.ToString();
}

}  // namespace longspan::check_internal
