// The flags of longspan-coordinator.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/daemon/coordinator.h"

namespace longspan::coordinator {

struct CoordinatorFlags {
  CoordinatorOptions options;
  // Where the bound address is written, for scripts; empty: nowhere.
  std::string address_file;
  std::string log_format = "text";
  std::string log_level = "info";
};

// What the command line asks for.
struct ParsedFlags {
  CoordinatorFlags flags;
  // --help or --version, or a mistake: print `message` and exit with `code`.
  bool exit = false;
  int code = 0;
  std::string message;
};

ParsedFlags ParseCoordinatorFlags(int argc, const char* const* argv);

}  // namespace longspan::coordinator
