// The command lines of the daemons that `longspan up` starts. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/supervisor.h"

namespace longspan::cli {

// The coordinator, then the workers. `run` is the absolute run directory:
//   coordinator/       journal and job logs
//   worker-<i>/        state of each worker
//   outputs/, models/  roots of those names, unless --root gives others
//   *.log              what the daemons print
absl::StatusOr<std::vector<DaemonCommand>> MakeDaemonCommands(
    const UpOptions& options, const std::string& binaries,
    const std::string& run);

// Everything that must exist before the daemons start.
std::vector<std::string> DirectoriesOf(const UpOptions& options,
                                       const std::string& run);

}  // namespace longspan::cli
