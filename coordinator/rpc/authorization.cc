#include "coordinator/rpc/authorization.h"

#include <grpcpp/server_context.h>

#include "common/config/token_file.h"
#include "coordinator/ops/errors.h"

namespace longspan::coordinator {

absl::Status Authorize(const grpc::CallbackServerContext& context,
                       const std::string& token) {
  if (token.empty()) return absl::OkStatus();
  const auto& metadata = context.client_metadata();
  auto header = metadata.find("authorization");
  if (header != metadata.end() &&
      TokensEqual(std::string(header->second.data(), header->second.size()),
                  "Bearer " + token)) {
    return absl::OkStatus();
  }
  return WithReason(
      absl::UnauthenticatedError(
          "the call needs the coordinator's token: give --token-file"),
      "TOKEN_REQUIRED");
}

}  // namespace longspan::coordinator
