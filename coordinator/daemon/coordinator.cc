#include "coordinator/daemon/coordinator.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/http/http_server.h"
#include "common/log/log.h"
#include "common/metrics/metric_registry.h"
#include "common/metrics/metrics_route.h"
#include "coordinator/background/duty_runner.h"
#include "coordinator/background/job_advance.h"
#include "coordinator/background/lease_expiry.h"
#include "coordinator/background/retention.h"
#include "coordinator/background/stream_wake.h"
#include "coordinator/ops/core.h"
#include "coordinator/rpc/rpc_server.h"
#include "coordinator/status_page/progress_history.h"
#include "coordinator/status_page/status_page.h"
#include "coordinator/store/log_store.h"
#include "coordinator/store/sqlite_journal.h"

namespace longspan::coordinator {
namespace {

absl::Status CreatePrivateDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_all,
                                 error);
  }
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("--state-dir ", path, ": ", error.message()));
}

absl::Status CheckAddresses(const CoordinatorOptions& options) {
  const ListenSecurity security = {!options.token.empty(), options.insecure};
  RETURN_IF_ERROR(CheckListenAddress(options.listen, security, "--listen"));
  if (options.metrics_listen.host.empty()) return absl::OkStatus();
  return CheckListenAddress(options.metrics_listen,
                            {false, options.insecure || security.has_token},
                            "--metrics-listen");
}

CoreOptions CoreOptionsOf(const CoordinatorOptions& options) {
  CoreOptions core = options.core;
  if (core.random_bytes == nullptr) core.random_bytes = SystemRandomBytes;
  return core;
}

// The server says that it serves only while the journal can be written.
class HealthReport final : public Duty {
 public:
  HealthReport(Core& core, RpcServer& server) : core_(core), server_(server) {}

  const char* name() const override { return "health report"; }
  absl::Duration period() const override { return absl::Milliseconds(500); }

  void Run() override {
    bool serving = false;
    {
      MutexLock lock(core_.mu);
      serving = core_.journal_status.ok() && !core_.stopping;
    }
    server_.SetServing(serving);
  }

 private:
  Core& core_;
  RpcServer& server_;
};

std::vector<std::unique_ptr<Duty>> DutiesOf(
    Core& core, RpcServer& server, std::unique_ptr<ProgressHistory> history) {
  std::vector<std::unique_ptr<Duty>> duties;
  duties.push_back(std::make_unique<LeaseExpiry>(core));
  duties.push_back(std::make_unique<JobAdvance>(core));
  duties.push_back(std::make_unique<Retention>(core));
  duties.push_back(std::make_unique<StreamWake>(core));
  duties.push_back(std::make_unique<HealthReport>(core, server));
  duties.push_back(std::move(history));
  return duties;
}

std::vector<HttpRoute> RoutesOf(const CoordinatorOptions& options,
                                const MetricRegistry& metrics, Core& core,
                                const ProgressHistory& history) {
  std::vector<HttpRoute> routes;
  if (options.status_page) routes = StatusPageRoutes(core, history);
  routes.push_back(MetricsRoute(metrics));
  return routes;
}

}  // namespace

// In the order of construction; destroyed in reverse.
struct Coordinator::Impl {
  CoordinatorOptions options;
  MetricRegistry metrics;
  std::unique_ptr<SqliteJournal> journal;
  std::unique_ptr<LogStore> logs;
  std::unique_ptr<Core> core;
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<DutyRunner> duties;
  std::unique_ptr<HttpServer> http_server;  // reads the progress history
};

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Coordinator::~Coordinator() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(
    const CoordinatorOptions& options) {
  RETURN_IF_ERROR(CheckAddresses(options));
  RETURN_IF_ERROR(CreatePrivateDirectory(options.state_dir));
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  ASSIGN_OR_RETURN(SqliteJournal::Opened opened,
                   SqliteJournal::Open(options.state_dir + "/journal.sqlite"));
  impl->journal = std::move(opened.journal);
  impl->logs = std::make_unique<LogStore>(
      LogStore::Options{options.state_dir + "/logs"});
  impl->core = std::make_unique<Core>(
      CoreOptionsOf(options),
      Core::Dependencies{SystemClock::Get(), *impl->journal, *impl->logs,
                         impl->metrics});
  RETURN_IF_ERROR(impl->core->Restore(opened.contents));
  ASSIGN_OR_RETURN(
      impl->server,
      RpcServer::Start(*impl->core, {options.listen, options.token,
                                     options.reflection ||
                                         IsLoopback(options.listen.host)}));
  auto history = std::make_unique<ProgressHistory>(*impl->core);
  const std::vector<HttpRoute> routes =
      RoutesOf(options, impl->metrics, *impl->core, *history);
  impl->duties = std::make_unique<DutyRunner>(
      SystemClock::Get(),
      DutiesOf(*impl->core, *impl->server, std::move(history)));
  if (!options.metrics_listen.host.empty()) {
    ASSIGN_OR_RETURN(impl->http_server,
                     HttpServer::Start(options.metrics_listen, routes));
  }
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(impl)));
}

std::string Coordinator::address() const {
  return ListenAddress{impl_->options.listen.host, impl_->server->port()}
      .ToString();
}

std::string Coordinator::metrics_address() const {
  if (impl_->http_server == nullptr) return "";
  return ListenAddress{impl_->options.metrics_listen.host,
                       impl_->http_server->port()}
      .ToString();
}

void Coordinator::Stop(absl::Duration grace) {
  impl_->http_server.reset();
  impl_->duties.reset();
  impl_->server->Stop(grace);
}

}  // namespace longspan::coordinator
