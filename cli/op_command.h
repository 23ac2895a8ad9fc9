// The flags of `longspan op`: a subcommand for every op of cli/op/op_table.h.
#pragma once

#include <functional>

#include "cli/commands.h"
#include "cli/exit_code.h"

namespace CLI {
class App;
}  // namespace CLI

namespace longspan::cli {

// `options` must outlive the parser; `done` is given the exit code.
void AddOpCommand(CLI::App& app, OpOptions& options,
                  const std::function<void(ExitCode)>& done);

}  // namespace longspan::cli
