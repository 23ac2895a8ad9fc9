#include "cli/client.h"

#include <grpcpp/channel.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/listen_address.h"
#include "common/config/token_file.h"
#include "common/rpc/channel.h"

namespace longspan::cli {

absl::StatusOr<Client> Client::Create(const ClientOptions& options) {
  ASSIGN_OR_RETURN(ListenAddress address,
                   ParseListenAddress(options.coordinator));
  ChannelOptions channel;
  // A coordinator that comes back should be noticed within a second.
  channel.max_reconnect_backoff = absl::Seconds(1);
  if (!options.token_file.empty()) {
    ASSIGN_OR_RETURN(channel.token, ReadTokenFile(options.token_file));
  }
  Client client;
  client.address_ = address.ToString();
  client.timeout_ = absl::Seconds(options.timeout_seconds);
  client.stub_ =
      v1::JobService::NewStub(CreateChannel(client.address_, channel));
  return client;
}

std::unique_ptr<grpc::ClientContext> Client::NewContext() const {
  auto context = std::make_unique<grpc::ClientContext>();
  PrepareContext({.timeout = timeout_}, context.get());
  return context;
}

std::unique_ptr<grpc::ClientContext> Client::NewStreamContext() const {
  return std::make_unique<grpc::ClientContext>();
}

std::string FullJobName(const std::string& job) {
  if (absl::StrContains(job, "/")) return job;
  return absl::StrCat("tenants/default/jobs/", job);
}

}  // namespace longspan::cli
