// The flags of `longspan simulate`.
#pragma once

#include <functional>

#include "cli/commands.h"
#include "cli/exit_code.h"

namespace CLI {
class App;
}  // namespace CLI

namespace longspan::cli {

// `options` must outlive the parser; `done` is given the exit code.
void AddSimulateCommand(CLI::App& app, SimulateOptions& options,
                        const std::function<void(ExitCode)>& done);

}  // namespace longspan::cli
