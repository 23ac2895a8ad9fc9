// longspan completion: scripts for shells, from the commands themselves.
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/command_line.h"
#include "cli/commands.h"

namespace longspan::cli {
namespace {

std::string Names(const std::vector<CommandSummary>& commands) {
  std::vector<std::string> names;
  for (const CommandSummary& command : commands) names.push_back(command.name);
  return absl::StrJoin(names, " ");
}

std::string BashScript(const std::vector<CommandSummary>& commands) {
  std::string cases;
  for (const CommandSummary& command : commands) {
    absl::StrAppend(&cases, "    ", command.name, ") words=\"",
                    absl::StrJoin(command.flags, " "), "\" ;;\n");
  }
  return absl::StrCat(
      "_longspan() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} words\n"
      "  case \"$COMP_CWORD:${COMP_WORDS[1]}\" in\n    1:*) words=\"",
      Names(commands), " --help --version\" ;;\n  esac\n",
      "  [ \"$COMP_CWORD\" -gt 1 ] && case \"${COMP_WORDS[1]}\" in\n", cases,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}\n"
      "complete -o default -F _longspan longspan\n");
}

std::string ZshScript(const std::vector<CommandSummary>& commands) {
  return absl::StrCat(
      "#compdef longspan\nautoload -U +X bashcompinit && "
      "bashcompinit\n",
      BashScript(commands));
}

std::string FishScript(const std::vector<CommandSummary>& commands) {
  std::string out = "complete -c longspan -e\n";
  for (const CommandSummary& command : commands) {
    std::string text = absl::StrReplaceAll(command.description, {{"'", "\\'"}});
    absl::StrAppend(&out,
                    "complete -c longspan -n __fish_use_subcommand -f -a ",
                    command.name, " -d '", text, "'\n");
    for (const std::string& flag : command.flags) {
      absl::StrAppend(&out,
                      "complete -c longspan -n '__fish_seen_subcommand_from ",
                      command.name, "' -l ", flag.substr(2), "\n");
    }
  }
  return out;
}

}  // namespace

ExitCode RunCompletion(const std::string& shell) {
  std::vector<CommandSummary> commands = SummariseCommands();
  if (shell == "bash") std::cout << BashScript(commands);
  if (shell == "zsh") std::cout << ZshScript(commands);
  if (shell == "fish") std::cout << FishScript(commands);
  return ExitCode::kOk;
}

}  // namespace longspan::cli
