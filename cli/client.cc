#include "cli/client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <climits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/listen_address.h"
#include "common/config/token_file.h"

namespace longspan::cli {

absl::StatusOr<Client> Client::Create(const ClientOptions& options) {
  ASSIGN_OR_RETURN(ListenAddress address,
                   ParseListenAddress(options.coordinator));
  Client client;
  client.address_ = address.ToString();
  client.timeout_seconds_ = options.timeout_seconds;
  if (!options.token_file.empty()) {
    ASSIGN_OR_RETURN(client.token_, ReadTokenFile(options.token_file));
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  // A coordinator that comes back should be noticed within a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Loopback and cluster addresses are not for a proxy.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  client.stub_ = v1::JobService::NewStub(grpc::CreateCustomChannel(
      client.address_, grpc::InsecureChannelCredentials(), arguments));
  return client;
}

std::unique_ptr<grpc::ClientContext> Client::NewStreamContext() const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!token_.empty()) {
    context->AddMetadata("authorization", "Bearer " + token_);
  }
  return context;
}

std::unique_ptr<grpc::ClientContext> Client::NewContext() const {
  auto context = NewStreamContext();
  context->set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::milliseconds(static_cast<int64_t>(timeout_seconds_ * 1e3)));
  return context;
}

std::string FullJobName(const std::string& job) {
  if (absl::StrContains(job, "/")) return job;
  return absl::StrCat("tenants/default/jobs/", job);
}

}  // namespace longspan::cli
