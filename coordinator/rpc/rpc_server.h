// The coordinator's gRPC server: JobService, WorkerService, health and, if
// wanted, reflection.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/config/listen_address.h"

namespace longspan::coordinator {

class Core;

struct RpcServerOptions {
  ListenAddress address;
  std::string token;  // empty: everybody may call
  bool reflection = false;
  int max_request_bytes = 4 << 20;
};

class RpcServer {
 public:
  // Unavailable if the address cannot be bound. `core` outlives the server.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      Core& core, const RpcServerOptions& options);

  // Stops at once if Stop was not called.
  ~RpcServer();

  int port() const;

  // What the health service says.
  void SetServing(bool serving);

  // Says NOT_SERVING, ends the streams and lets unary calls finish within
  // `grace`.
  void Stop(absl::Duration grace);

 private:
  struct Impl;
  explicit RpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longspan::coordinator
