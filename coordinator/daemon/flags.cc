#include "coordinator/daemon/flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <sstream>

#include "common/base/status_macros.h"
#include "common/base/units.h"
#include "common/base/version.h"
#include "common/config/token_file.h"

namespace longspan::coordinator {
namespace {

constexpr int kUsageError = 2;

// Flags as written, before their values are understood.
struct RawFlags {
  std::string listen = "127.0.0.1:7600";
  std::string metrics_listen;
  std::string state_dir;
  std::string token_file;
  std::string lease = "15s";
  std::string detached_timeout = "10m";
  std::string replacement_timeout = "5m";
  std::string start_timeout = "5m";
  std::string stop_grace = "30s";
  bool insecure = false;
  bool reflection = false;
  bool no_status_page = false;
};

// $XDG_STATE_HOME/longspan/coordinator, as the XDG directories say.
std::string DefaultStateDir() {
  if (const char* state = std::getenv("XDG_STATE_HOME")) {
    return std::string(state) + "/longspan/coordinator";
  }
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "." : home) +
         "/.local/state/longspan/coordinator";
}

void Declare(CLI::App& app, RawFlags& raw, CoordinatorFlags& flags) {
  app.set_version_flag("--version", VersionLine("longspan-coordinator"));
  app.add_option("--listen", raw.listen,
                 "HOST:PORT of the gRPC services; port 0: any")
      ->capture_default_str();
  app.add_option("--state-dir", raw.state_dir,
                 "Directory of the journal and the job logs")
      ->default_str(DefaultStateDir());
  app.add_option("--metrics-listen", raw.metrics_listen,
                 "HOST:PORT of /metrics and the status page, which is at /; "
                 "without it there is neither");
  app.add_flag("--no-status-page", raw.no_status_page, "Serve /metrics alone");
  app.add_option("--address-file", flags.address_file,
                 "File that the bound address is written to");
  app.add_option("--token-file", raw.token_file,
                 "File with the token that every call must carry");
  app.add_flag("--insecure", raw.insecure,
               "Allow addresses beyond loopback without a token");
  app.add_flag("--reflection", raw.reflection,
               "Serve gRPC reflection beyond loopback too");
  app.add_option("--lease", raw.lease,
                 "A worker that is silent for this long is lost")
      ->capture_default_str();
  app.add_option("--detached-timeout", raw.detached_timeout,
                 "A worker without coordinator computes on for this long")
      ->capture_default_str();
  app.add_option("--replacement-timeout", raw.replacement_timeout,
                 "A job that lost a rank goes before all others for this long")
      ->capture_default_str();
  app.add_option("--start-timeout", raw.start_timeout,
                 "Ranks must run this long after they were placed")
      ->capture_default_str();
  app.add_option("--stop-grace", raw.stop_grace,
                 "Ranks that are stopped may take this long to checkpoint")
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "text or json")
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level,
                 "debug, info, warning or error")
      ->capture_default_str();
}

absl::Status ReadDuration(const char* flag, const std::string& text,
                          absl::Duration& value) {
  absl::StatusOr<absl::Duration> parsed = ParseDuration(text);
  if (parsed.ok() && *parsed > absl::ZeroDuration()) {
    value = *parsed;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(std::string(flag) + " '" + text +
                                    "': write a duration above 0, as 30s");
}

absl::Status ReadDurations(const RawFlags& raw, CoreOptions& core) {
  RETURN_IF_ERROR(ReadDuration("--lease", raw.lease, core.leases.lease));
  RETURN_IF_ERROR(ReadDuration("--detached-timeout", raw.detached_timeout,
                               core.leases.detached_timeout));
  RETURN_IF_ERROR(ReadDuration("--replacement-timeout", raw.replacement_timeout,
                               core.gang.replacement));
  RETURN_IF_ERROR(
      ReadDuration("--start-timeout", raw.start_timeout, core.gang.start));
  return ReadDuration("--stop-grace", raw.stop_grace,
                      core.assignment.stop_grace);
}

absl::Status Understand(const RawFlags& raw, CoordinatorOptions& options) {
  ASSIGN_OR_RETURN(options.listen, ParseListenAddress(raw.listen));
  if (!raw.metrics_listen.empty()) {
    ASSIGN_OR_RETURN(options.metrics_listen,
                     ParseListenAddress(raw.metrics_listen));
  }
  if (!raw.token_file.empty()) {
    ASSIGN_OR_RETURN(options.token, ReadTokenFile(raw.token_file));
  }
  options.state_dir = raw.state_dir.empty() ? DefaultStateDir() : raw.state_dir;
  options.insecure = raw.insecure;
  options.reflection = raw.reflection;
  options.status_page = !raw.no_status_page;
  return ReadDurations(raw, options.core);
}

ParsedFlags Exit(int code, std::string message) {
  ParsedFlags parsed;
  parsed.exit = true;
  parsed.code = code;
  parsed.message = std::move(message);
  return parsed;
}

}  // namespace

ParsedFlags ParseCoordinatorFlags(int argc, const char* const* argv) {
  ParsedFlags parsed;
  RawFlags raw;
  CLI::App app(
      "Longspan's coordinator: takes jobs, schedules them on workers, and "
      "remembers everything in a journal.",
      "longspan-coordinator");
  Declare(app, raw, parsed.flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::ostringstream out;
    const int code = app.exit(e, out, out);
    return Exit(code == 0 ? 0 : kUsageError, out.str());
  }
  const absl::Status status = Understand(raw, parsed.flags.options);
  if (!status.ok()) {
    return Exit(kUsageError, std::string(status.message()) + "\n");
  }
  return parsed;
}

}  // namespace longspan::coordinator
