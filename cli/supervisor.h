// Child processes that are kept alive until the parent is asked to stop.
//
// One thread runs it, from start to end: Run() blocks SIGINT, SIGTERM, SIGHUP
// and SIGCHLD for itself and waits for them; nothing else may wait for
// children. Every child also gets SIGTERM if this process dies (the calling
// thread must outlive the children).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace longspan::cli {

struct DaemonCommand {
  std::string name;                    // in messages and for the log file
  std::vector<std::string> arguments;  // [0] is the binary's path
  std::string log_file;                // stdout and stderr, appended
};

struct SupervisorOptions {
  bool restart = true;
  // From SIGTERM to SIGKILL, when stopping.
  double stop_seconds = 20;
};

// Starts all daemons in order and keeps them running. Returns after a signal,
// when every child has ended (OK), or when a child cannot be started, or dies
// and may not be restarted (its error; the others have been stopped).
// `on_started` is called once, after the first start of all.
absl::Status Supervise(const std::vector<DaemonCommand>& daemons,
                       const SupervisorOptions& options,
                       const std::function<void()>& on_started);

}  // namespace longspan::cli
