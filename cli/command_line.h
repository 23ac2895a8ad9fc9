// The flags of `longspan`: parses, then calls the subcommand.
#pragma once

#include <string>
#include <vector>

namespace longspan::cli {

// The process's exit code.
int RunCommandLine(int argc, char** argv);

// A subcommand as completion scripts need it.
struct CommandSummary {
  std::string name;
  std::string description;
  std::vector<std::string> flags;  // "--watch"
};

std::vector<CommandSummary> SummariseCommands();

}  // namespace longspan::cli
