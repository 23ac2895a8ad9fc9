// The worker daemon, assembled: RunWorkerDaemon is the whole of it, in order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/log/log.h"
#include "worker/agent/device_inventory.h"

namespace longspan::worker {

struct WorkerDaemonOptions {
  std::string coordinator = "127.0.0.1:7600";
  std::string name;       // default: this host's name
  std::string state_dir;  // required
  std::string token_file;
  bool insecure = false;
  std::string metrics_listen = "127.0.0.1:0";  // empty: no endpoint
  std::string data_address = "127.0.0.1";
  std::vector<std::string> data_roots;  // name=/absolute/directory
  InventoryOptions inventory;
  LogFormat log_format = LogFormat::kText;  // of this daemon's executors
  std::string program;                      // this one, for --probe-devices
  std::string executor;  // default: longspan-executor beside the program
  absl::Duration detached_timeout = absl::Minutes(10);
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration metrics_grace = absl::Minutes(2);
};

// Runs until SIGTERM or SIGINT has drained it. Errors are those of the start.
absl::Status RunWorkerDaemon(const WorkerDaemonOptions& options);

}  // namespace longspan::worker
