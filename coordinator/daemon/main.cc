// longspan-coordinator: see --help. Exit codes: 0 after SIGTERM or SIGINT, 1
// when it cannot start, 2 for wrong flags.
#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "common/log/log.h"
#include "common/rpc/grpc_log.h"
#include "coordinator/daemon/coordinator.h"
#include "coordinator/daemon/flags.h"

namespace longspan::coordinator {
namespace {

// Signals are waited for by the main thread alone.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

bool SetUpLogging(const CoordinatorFlags& flags) {
  LogOptions options;
  options.component = "coordinator";
  absl::StatusOr<LogFormat> format = ParseLogFormat(flags.log_format);
  absl::StatusOr<LogSeverity> least = ParseLogSeverity(flags.log_level);
  for (const absl::Status& status : {format.status(), least.status()}) {
    if (status.ok()) continue;
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return false;
  }
  options.format = *format;
  options.least = *least;
  ConfigureLogging(options);
  RouteGrpcLog();
  return true;
}

// Complete when it appears: written beside and renamed.
bool WriteAddress(const std::string& path, const std::string& address) {
  if (path.empty()) return true;
  const std::string draft = path + ".new";
  std::ofstream(draft) << address << "\n";
  return std::rename(draft.c_str(), path.c_str()) == 0;
}

int Serve(const CoordinatorFlags& flags) {
  const sigset_t signals = BlockSignals();
  absl::StatusOr<std::unique_ptr<Coordinator>> coordinator =
      Coordinator::Start(flags.options);
  if (!coordinator.ok()) {
    LogError("cannot start",
             {{"error", std::string(coordinator.status().message())}});
    return 1;
  }
  if (!WriteAddress(flags.address_file, (*coordinator)->address())) {
    LogError("cannot write the address", {{"file", flags.address_file}});
    return 1;
  }
  LogInfo("serving", {{"address", (*coordinator)->address()},
                      {"metrics", (*coordinator)->metrics_address()}});
  int received = 0;
  sigwait(&signals, &received);
  LogInfo("stopping; workers compute on", {{"signal", received}});
  (*coordinator)->Stop(absl::Seconds(3));
  return 0;
}

int Main(int argc, char** argv) {
  const ParsedFlags parsed = ParseCoordinatorFlags(argc, argv);
  if (parsed.exit) {
    std::fputs(parsed.message.c_str(), parsed.code == 0 ? stdout : stderr);
    return parsed.code;
  }
  if (!SetUpLogging(parsed.flags)) return 2;
  return Serve(parsed.flags);
}

}  // namespace
}  // namespace longspan::coordinator

int main(int argc, char** argv) {
  return longspan::coordinator::Main(argc, argv);
}
