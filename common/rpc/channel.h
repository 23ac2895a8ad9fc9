// Channels to the coordinator, as the worker and the command line open them.
//
// Keepalive finds dead connections (a ping every 20 s while a call is open,
// well above the server's minimum of 5 s). Unary calls that end UNAVAILABLE are
// retried with backoff, nothing else is. A token goes with every call as
// "authorization: Bearer ...".
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace longspan {

struct ChannelOptions {
  std::string token;  // empty: none
  // Tries of a unary call, the first included; 1: no retry.
  int max_attempts = 4;
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(5);
  // How long a broken connection waits before it is tried again, at most.
  absl::Duration max_reconnect_backoff = absl::Seconds(2);
};

// Connects when first used. `address` is "host:port".
std::shared_ptr<grpc::Channel> CreateChannel(const std::string& address,
                                             const ChannelOptions& options);

struct CallOptions {
  // Every call has a deadline; streams that follow a job get a long one.
  absl::Duration timeout = absl::Seconds(30);
  // Wait for a coordinator that is restarting, instead of failing at once.
  bool wait_for_ready = false;
};

void PrepareContext(const CallOptions& options, grpc::ClientContext* context);

}  // namespace longspan
