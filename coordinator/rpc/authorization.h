// Who may call. Checked before a request is looked at, so that a refusal tells
// nothing about what exists.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace grpc {
class CallbackServerContext;
}  // namespace grpc

namespace longspan::coordinator {

// OK if `token` is empty, or if the call carries it as
// "authorization: Bearer TOKEN"; else Unauthenticated. Constant-time.
absl::Status Authorize(const grpc::CallbackServerContext& context,
                       const std::string& token);

}  // namespace longspan::coordinator
