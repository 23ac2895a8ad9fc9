// longspan up: a coordinator and workers on this machine, on loopback.
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/commands.h"
#include "cli/daemon_commands.h"
#include "cli/report_error.h"
#include "cli/supervisor.h"

namespace longspan::cli {
namespace {

absl::StatusOr<std::string> BinaryDirectory(const UpOptions& options) {
  if (!options.binary_directory.empty()) return options.binary_directory;
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return absl::InternalError(
        absl::StrCat("cannot find this program's directory: ", error.message(),
                     "; set --bin-dir"));
  }
  return self.parent_path().string();
}

absl::Status CheckBinary(const std::string& path) {
  if (access(path.c_str(), X_OK) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", path, "' is not an executable; build it or set --bin-dir"));
}

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cannot make '", path, "': ", error.message()));
}

std::string OfferOf(const UpOptions& options) {
  if (options.devices != "cpu") return "devices: " + options.devices;
  return absl::StrFormat("%d slots, %d threads each", options.slots,
                         options.threads);
}

void PrintAddresses(const UpOptions& options, const std::string& run) {
  std::cout << absl::StrFormat(
      "coordinator  127.0.0.1:%d   metrics http://127.0.0.1:%d/metrics\n",
      options.port, options.metrics_port);
  for (int i = 0; i < options.workers; ++i) {
    std::cout << absl::StrFormat(
        "worker-%d     %s   metrics http://127.0.0.1:%d/metrics\n", i,
        OfferOf(options), options.metrics_port + 1 + i);
  }
  std::cout << absl::StrFormat("status page  http://127.0.0.1:%d/\n",
                               options.metrics_port)
            << "state and logs in " << run << "; Ctrl-C stops everything"
            << std::endl;
}

}  // namespace

ExitCode RunUp(const UpOptions& options) {
  absl::StatusOr<std::string> binaries = BinaryDirectory(options);
  if (!binaries.ok()) return ReportError(binaries.status());
  std::string run =
      std::filesystem::absolute(options.run_directory).lexically_normal();
  absl::StatusOr<std::vector<DaemonCommand>> daemons =
      MakeDaemonCommands(options, *binaries, run);
  if (!daemons.ok()) return ReportError(daemons.status());
  absl::Status ready;
  for (const DaemonCommand& daemon : *daemons) {
    ready.Update(CheckBinary(daemon.arguments[0]));
  }
  for (const std::string& directory : DirectoriesOf(options, run)) {
    ready.Update(MakeDirectory(directory));
  }
  if (!ready.ok()) return ReportError(ready);
  SupervisorOptions supervisor;
  supervisor.restart = options.restart;
  absl::Status status =
      Supervise(*daemons, supervisor, [&] { PrintAddresses(options, run); });
  if (!status.ok()) return ReportError(status);
  std::cout << "stopped" << std::endl;
  return ExitCode::kOk;
}

}  // namespace longspan::cli
