// What surrounds every handler: authorisation, no exception escapes, the call
// is counted.
#pragma once

#include <exception>
#include <string>

#include "absl/status/status.h"
#include "common/log/log.h"
#include "coordinator/ops/core.h"

namespace longspan::coordinator {

// What the services share. Lives as long as the server.
struct RpcContext {
  Core& core;
  std::string token;  // empty: everybody may call
};

// Runs `body`, which returns absl::Status; an exception becomes INTERNAL.
template <typename Body>
absl::Status Guarded(const char* method, Body body) {
  try {
    return body();
  } catch (const std::exception& e) {
    LogError("exception in a handler",
             {{"method", method}, {"what", e.what()}});
  } catch (...) {
    LogError("exception in a handler", {{"method", method}});
  }
  return absl::InternalError(
      "the coordinator failed to handle the call; its "
      "log says more");
}

}  // namespace longspan::coordinator
