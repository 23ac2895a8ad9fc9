// The coordinator, assembled: journal, core, RPC server, metrics, status page,
// background duties. Used by main and by tests that want the whole daemon in a
// process.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/listen_address.h"
#include "coordinator/ops/core_options.h"

namespace longspan::coordinator {

struct CoordinatorOptions {
  ListenAddress listen = {"127.0.0.1", 7600};
  // Not served when the host is empty.
  ListenAddress metrics_listen;
  // The page at / beside /metrics.
  bool status_page = true;
  // Holds journal.sqlite and logs/; created if missing.
  std::string state_dir;
  std::string token;
  bool insecure = false;
  // Reflection is always on for loopback.
  bool reflection = false;
  CoreOptions core;
};

class Coordinator {
 public:
  // Opens the journal, replays it, then serves. Errors say what to do.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(
      const CoordinatorOptions& options);
  // Stops at once, as a crash would, but cleanly for this process.
  ~Coordinator();

  // "127.0.0.1:7600", with the port that was bound.
  std::string address() const;
  // "" when metrics are not served.
  std::string metrics_address() const;

  // Ends streams, lets calls finish within `grace`. Workers compute on.
  void Stop(absl::Duration grace);

 private:
  struct Impl;
  explicit Coordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longspan::coordinator
