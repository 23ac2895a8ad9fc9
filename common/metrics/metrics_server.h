// Serves a registry at http://host:port/metrics, with threads of its own.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/config/listen_address.h"
#include "common/metrics/metric_registry.h"

namespace longspan {

class MetricsServer {
 public:
  // Port 0 lets the system choose. Unavailable if the address cannot be
  // bound. Whether the address may be open to the network is the caller's
  // check (CheckListenAddress). Keeps what it needs of the registry alive.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const ListenAddress& address, const MetricRegistry& registry);

  // Stops answering and joins its threads.
  ~MetricsServer();

  int port() const;

 private:
  struct Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longspan
