#include "worker/agent/worker_daemon.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "common/config/listen_address.h"
#include "common/config/named_roots.h"
#include "common/config/token_file.h"
#include "common/http/http_server.h"
#include "common/log/log.h"
#include "common/metrics/metric_registry.h"
#include "common/metrics/metrics_route.h"
#include "worker/agent/agent.h"
#include "worker/agent/coordinator_link.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/executor_metrics.h"
#include "worker/agent/state_directory.h"

extern char** environ;

namespace longspan::worker {
namespace {

constexpr int kApiVersion = 1;
constexpr absl::Duration kLastWords = absl::Seconds(2);

// SIGTERM and SIGINT, taken by a thread that waits for them. Must be made
// before any other thread, which inherit the blocked mask.
class SignalWatcher {
 public:
  SignalWatcher() {
    sigemptyset(&signals_);
    for (const int number : {SIGTERM, SIGINT, SIGUSR2}) {
      sigaddset(&signals_, number);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, &previous_);
    signal(SIGPIPE, SIG_IGN);
  }
  ~SignalWatcher() {
    if (thread_.joinable()) {
      stopping_ = true;
      pthread_kill(thread_.native_handle(), SIGUSR2);  // ends sigwait
      thread_.join();
    }
    pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
  }

  void Start(std::function<void(int)> on_signal) {
    thread_ = std::thread([this, on_signal = std::move(on_signal)] {
      int number = 0;
      while (sigwait(&signals_, &number) == 0 && !stopping_) {
        if (number != SIGUSR2) on_signal(number);
      }
    });
  }

 private:
  sigset_t signals_;
  sigset_t previous_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "localhost";
  return name;
}

std::string NameOf(const WorkerDaemonOptions& options) {
  return options.name.empty() ? HostName() : options.name;
}

absl::StatusOr<std::string> ExecutorProgram(
    const WorkerDaemonOptions& options) {
  const std::string path =
      !options.executor.empty()
          ? options.executor
          : absl::StrCat(options.program.substr(0, options.program.rfind('/')),
                         "/longspan-executor");
  if (access(path.c_str(), X_OK) == 0) return path;
  return absl::FailedPreconditionError(absl::StrCat(
      path, " cannot be executed; install it there or give --executor"));
}

// Name -> directory, checked by the rules of named roots.
absl::StatusOr<std::map<std::string, std::string>> Roots(
    const std::vector<std::string>& assignments) {
  RETURN_IF_ERROR(NamedRoots::Parse(assignments).status());
  std::map<std::string, std::string> roots;
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    roots[assignment.substr(0, equals)] = assignment.substr(equals + 1);
  }
  return roots;
}

absl::StatusOr<std::unique_ptr<HttpServer>> ServeMetrics(
    const WorkerDaemonOptions& options, const MetricRegistry& registry) {
  if (options.metrics_listen.empty()) return nullptr;
  ASSIGN_OR_RETURN(const ListenAddress address,
                   ParseListenAddress(options.metrics_listen));
  RETURN_IF_ERROR(CheckListenAddress(
      address, {!options.token_file.empty(), options.insecure},
      "--metrics-listen"));
  return HttpServer::Start(address, {MetricsRoute(registry)});
}

absl::StatusOr<AgentOptions> MakeAgentOptions(
    const WorkerDaemonOptions& options, const HttpServer* metrics) {
  AgentOptions agent;
  agent.name = NameOf(options);
  agent.log_format = options.log_format;
  ASSIGN_OR_RETURN(agent.info,
                   ProbeDevicesInChild(options.program, options.inventory,
                                       options.log_format));
  ASSIGN_OR_RETURN(agent.executor_program, ExecutorProgram(options));
  ASSIGN_OR_RETURN(agent.roots, Roots(options.data_roots));
  agent.info.set_build(absl::StrCat(Version(), " (", BuildStamp(), ")"));
  agent.info.set_api_version_min(kApiVersion);
  agent.info.set_api_version_max(kApiVersion);
  agent.info.set_hostname(HostName());
  agent.info.set_data_address(options.data_address);
  for (const auto& [name, path] : agent.roots) agent.info.add_roots(name);
  if (metrics != nullptr) {
    agent.info.set_metrics_address(
        absl::StrCat(options.data_address, ":", metrics->port()));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    agent.environment.push_back(*entry);
  }
  agent.detached_timeout = options.detached_timeout;
  agent.stop_grace = options.drain_timeout;
  return agent;
}

CoordinatorLinkHandlers PostTo(EventLoop* loop, Agent** agent) {
  return {.on_session = [=] { loop->Post([=] { (*agent)->OnSession(); }); },
          .on_message =
              [=](v1::CoordinatorMessage message) {
                loop->Post([=, message = std::move(message)] {
                  (*agent)->OnMessage(message);
                });
              },
          .on_session_end =
              [=](absl::Status reason) {
                loop->Post([=] { (*agent)->OnSessionEnd(reason); });
              }};
}

}  // namespace

absl::Status RunWorkerDaemon(const WorkerDaemonOptions& options) {
  SignalWatcher signals;
  SetLogContext({"worker", NameOf(options)});

  // What an earlier life left behind.
  ASSIGN_OR_RETURN(const StateDirectory state,
                   StateDirectory::Open(options.state_dir));
  ASSIGN_OR_RETURN(const int leftovers, state.EndLeftovers(absl::Seconds(10)));
  if (leftovers > 0) {
    LogWarning("ended executors of an earlier daemon", {{"count", leftovers}});
  }

  // What this node has and shows.
  MetricRegistry registry;
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpServer> metrics_server,
                   ServeMetrics(options, registry));
  ASSIGN_OR_RETURN(AgentOptions agent_options,
                   MakeAgentOptions(options, metrics_server.get()));

  // The way to the coordinator.
  CoordinatorLinkOptions link_options{options.coordinator};
  if (!options.token_file.empty()) {
    ASSIGN_OR_RETURN(link_options.token, ReadTokenFile(options.token_file));
  }
  EventLoop loop;
  Agent* agent_pointer = nullptr;
  CoordinatorLink link(link_options, PostTo(&loop, &agent_pointer));

  // The agent, and what sets it going.
  ExecutorMetrics executor_metrics(&registry, &loop, options.metrics_grace);
  Agent agent(std::move(agent_options), &loop, &link, &state,
              &executor_metrics);
  agent_pointer = &agent;
  signals.Start([&](int number) {
    loop.Post([&, number] {
      LogInfo("draining", {{"signal", strsignal(number)}});
      agent.Drain(absl::StrCat("the worker received ", strsignal(number)),
                  [&] { loop.Stop(); });
    });
  });
  link.Start();
  LogInfo("worker started",
          {{"coordinator", options.coordinator},
           {"metrics_port", metrics_server ? metrics_server->port() : 0}});
  loop.Run();

  link.Stop(kLastWords);
  LogInfo("worker stopped");
  return absl::OkStatus();
}

}  // namespace longspan::worker
