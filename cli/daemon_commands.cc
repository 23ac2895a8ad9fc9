#include "cli/daemon_commands.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace longspan::cli {
namespace {

// outputs and models beneath the run directory, and what the user names.
absl::StatusOr<std::map<std::string, std::string>> Roots(
    const UpOptions& options, const std::string& run) {
  std::map<std::string, std::string> roots = {
      {"outputs", absl::StrCat(run, "/outputs")},
      {"models", absl::StrCat(run, "/models")}};
  for (const std::string& root : options.roots) {
    std::vector<std::string> parts =
        absl::StrSplit(root, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || parts[0].empty() || parts[1].empty() ||
        parts[1][0] != '/') {
      return absl::InvalidArgumentError(
          absl::StrCat("--root '", root, "' must be name=/absolute/directory"));
    }
    roots[parts[0]] = parts[1];
  }
  return roots;
}

DaemonCommand Coordinator(const UpOptions& options, const std::string& binaries,
                          const std::string& run) {
  DaemonCommand command;
  command.name = "coordinator";
  command.log_file = absl::StrCat(run, "/coordinator.log");
  command.arguments = {
      absl::StrCat(binaries, "/longspan-coordinator"),
      absl::StrCat("--listen=127.0.0.1:", options.port),
      absl::StrCat("--metrics-listen=127.0.0.1:", options.metrics_port),
      absl::StrCat("--state-dir=", run, "/coordinator"),
      absl::StrCat("--log-format=", options.log_format)};
  return command;
}

DaemonCommand Worker(const UpOptions& options, const std::string& binaries,
                     const std::string& run,
                     const std::map<std::string, std::string>& roots,
                     int index) {
  std::string name = absl::StrCat("worker-", index);
  DaemonCommand command;
  command.name = name;
  command.log_file = absl::StrCat(run, "/", name, ".log");
  command.arguments = {
      absl::StrCat(binaries, "/longspan-worker"),
      absl::StrCat("--name=", name),
      absl::StrCat("--coordinator=127.0.0.1:", options.port),
      absl::StrCat("--metrics-listen=127.0.0.1:",
                   options.metrics_port + 1 + index),
      absl::StrCat("--devices=", options.devices),
      absl::StrCat("--slots-per-device=", options.slots_per_device),
      absl::StrCat("--slots=", options.slots),
      absl::StrCat("--threads=", options.threads),
      absl::StrCat("--state-dir=", run, "/", name),
      absl::StrCat("--log-format=", options.log_format),
      "--drain-timeout=10s"};
  for (const auto& [root, path] : roots) {
    command.arguments.push_back(absl::StrCat("--root=", root, "=", path));
  }
  return command;
}

}  // namespace

absl::StatusOr<std::vector<DaemonCommand>> MakeDaemonCommands(
    const UpOptions& options, const std::string& binaries,
    const std::string& run) {
  // Each would offer all GPUs of this machine.
  if (options.devices != "cpu" && options.workers > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--devices ", options.devices, " with --workers ", options.workers,
        "; one worker offers all GPUs of a machine: give --workers 1"));
  }
  absl::StatusOr<std::map<std::string, std::string>> roots =
      Roots(options, run);
  if (!roots.ok()) return roots.status();
  std::vector<DaemonCommand> commands = {Coordinator(options, binaries, run)};
  for (int i = 0; i < options.workers; ++i) {
    commands.push_back(Worker(options, binaries, run, *roots, i));
  }
  return commands;
}

std::vector<std::string> DirectoriesOf(const UpOptions& options,
                                       const std::string& run) {
  std::vector<std::string> directories = {
      run, absl::StrCat(run, "/coordinator"), absl::StrCat(run, "/outputs"),
      absl::StrCat(run, "/models")};
  for (int i = 0; i < options.workers; ++i) {
    directories.push_back(absl::StrCat(run, "/worker-", i));
  }
  return directories;
}

}  // namespace longspan::cli
