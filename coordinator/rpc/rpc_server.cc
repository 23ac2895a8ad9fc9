#include "coordinator/rpc/rpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/rpc/job_service.h"
#include "coordinator/rpc/worker_service.h"

namespace longspan::coordinator {
namespace {

// Clients that ping more often are cut off (etcd's value).
constexpr int kMinPingIntervalMs = 5000;
constexpr int kKeepaliveTimeMs = 30000;
constexpr int kKeepaliveTimeoutMs = 20000;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kMaxConcurrentStreams = 1000;

// Reflection as one server wants it. The library registers its plugin for the
// whole process when it is loaded, so it is also taken away here.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  explicit ReflectionOption(bool wanted) : wanted_(wanted) {}

  void UpdateArguments(grpc::ChannelArguments*) override {}

  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    const std::string name =
        grpc::reflection::ProtoServerReflectionPlugin().name();
    std::erase_if(*plugins,
                  [&](const auto& plugin) { return plugin->name() == name; });
    if (wanted_) {
      plugins->push_back(
          std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>());
    }
  }

 private:
  const bool wanted_;
};

void SetArguments(const RpcServerOptions& options,
                  grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(options.max_request_bytes);
  // A second coordinator on the port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxConcurrentStreams);
  builder.SetOption(std::make_unique<ReflectionOption>(options.reflection));
}

}  // namespace

struct RpcServer::Impl {
  explicit Impl(Core& core, std::string token)
      : context{core, std::move(token)},
        jobs(MakeJobService(context)),
        workers(MakeWorkerService(context)) {}

  RpcContext context;
  std::unique_ptr<grpc::Service> jobs;
  std::unique_ptr<grpc::Service> workers;
  std::unique_ptr<grpc::Server> server;  // last: goes first
  int port = 0;
  bool stopped = false;
};

RpcServer::RpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RpcServer::~RpcServer() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    Core& core, const RpcServerOptions& options) {
  auto impl = std::make_unique<Impl>(core, options.token);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetArguments(options, builder);
  builder.AddListeningPort(options.address.ToString(),
                           grpc::InsecureServerCredentials(), &impl->port);
  builder.RegisterService(impl->jobs.get());
  builder.RegisterService(impl->workers.get());
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr || impl->port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options.address.ToString(),
                     ": the address is in use or not of this machine"));
  }
  return std::unique_ptr<RpcServer>(new RpcServer(std::move(impl)));
}

int RpcServer::port() const { return impl_->port; }

void RpcServer::SetServing(bool serving) {
  if (auto* health = impl_->server->GetHealthCheckService()) {
    health->SetServingStatus(serving);
  }
}

void RpcServer::Stop(absl::Duration grace) {
  if (impl_->stopped) return;
  impl_->stopped = true;
  SetServing(false);
  Core& core = impl_->context.core;
  {
    MutexLock lock(core.mu);
    core.stopping = true;
    for (const auto& [connection, link] : core.links) {
      link->Close(absl::UnavailableError("the coordinator is stopping"));
    }
  }
  core.notifier.Notify("");
  impl_->server->Shutdown(std::chrono::system_clock::now() +
                          absl::ToChronoMilliseconds(grace));
  impl_->server->Wait();
}

}  // namespace longspan::coordinator
