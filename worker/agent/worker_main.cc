// `longspan-worker`, the daemon of one node.
#include <unistd.h>

#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "common/base/units.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "common/rpc/grpc_log.h"
#include "worker/agent/worker_daemon.h"

namespace longspan::worker {
namespace {

std::string ThisProgram() {
  char path[4096] = {};
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
  return size > 0 ? std::string(path, size) : "longspan-worker";
}

int ProbeAndPrint(const InventoryOptions& options) {
  std::vector<std::string> notes;
  const auto info = ProbeDevices(options, &notes);
  for (const std::string& note : notes) LogWarning(note);
  if (!info.ok()) {
    LogError(std::string(info.status().message()));
    return 1;
  }
  std::cout << info->SerializeAsString() << std::flush;
  return 0;
}

// Turns "30s" into a duration at parse time, with the parser's words.
CLI::Option* AddDuration(CLI::App* app, const std::string& name,
                         absl::Duration* value, const std::string& help) {
  return app->add_option_function<std::string>(
      name,
      [value, name](const std::string& text) {
        const auto parsed = ParseDuration(text);
        if (!parsed.ok()) {
          throw CLI::ValidationError(name,
                                     std::string(parsed.status().message()));
        }
        *value = *parsed;
      },
      help);
}

int Main(int argc, char** argv) {
  WorkerDaemonOptions options;
  options.program = ThisProgram();
  LogOptions log;
  log.component = "worker";
  bool probe = false;

  CLI::App app{
      "Offers this node's devices to a Longspan coordinator and runs the\n"
      "ranks that it places here, one executor process each."};
  app.set_version_flag("--version", VersionLine("longspan-worker"));
  app.add_option("--coordinator", options.coordinator, "host:port to dial")
      ->capture_default_str();
  app.add_option("--name", options.name,
                 "this worker's name, the same in every life [host name]");
  app.add_option("--state-dir", options.state_dir,
                 "directory of this worker's own, kept across restarts");
  app.add_option("--devices", options.inventory.devices,
                 "cpu, cuda, or auto: GPUs if there are any, else the CPU")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
  app.add_option("--slots-per-device", options.inventory.slots_per_device,
                 "ranks that share a GPU; more than 1 is for tests")
      ->capture_default_str();
  app.add_option("--slots", options.inventory.slots,
                 "ranks at a time on the CPU")
      ->capture_default_str();
  app.add_option("--threads,--threads-per-slot",
                 options.inventory.threads_per_slot,
                 "threads of a rank; 0 divides the cores")
      ->capture_default_str();
  app.add_option("--memory-per-slot", options.inventory.memory_per_slot,
                 "bytes that a rank may use; 0 divides the memory")
      ->capture_default_str();
  app.add_option("--root,--data-root", options.data_roots,
                 "name=/directory that jobs may name; may be repeated")
      ->take_all();
  app.add_option("--metrics-listen", options.metrics_listen,
                 "host:port of /metrics; port 0: the system chooses")
      ->capture_default_str();
  app.add_option("--data-address", options.data_address,
                 "address at which other nodes reach this one's ranks")
      ->capture_default_str();
  app.add_option("--token-file", options.token_file,
                 "file with the token for the coordinator");
  app.add_flag("--insecure", options.insecure,
               "allow addresses other than loopback without a token");
  AddDuration(&app, "--drain-timeout", &options.drain_timeout,
              "from SIGTERM until executors are killed [30s]");
  AddDuration(&app, "--metrics-grace", &options.metrics_grace,
              "how long metrics of an ended job stay [2m]");
  app.add_option("--executor", options.executor,
                 "the executor's program [longspan-executor beside this one]");
  app.add_option_function<std::string>(
      "--log-format",
      [&](const std::string& text) {
        const auto format = ParseLogFormat(text);
        if (!format.ok()) throw CLI::ValidationError("--log-format", text);
        options.log_format = *format;
      },
      "text or json, this daemon's and its executors' [text]");
  app.add_flag("--probe-devices", probe,
               "print this node's devices (binary WorkerInfo) and end");
  CLI11_PARSE(app, argc, argv);

  log.format = options.log_format;
  ConfigureLogging(log);
  RouteGrpcLog();
  if (probe) return ProbeAndPrint(options.inventory);
  if (options.state_dir.empty()) {
    std::cerr << "--state-dir is required" << std::endl;
    return 2;
  }
  const absl::Status status = RunWorkerDaemon(options);
  if (status.ok()) return 0;
  LogError("cannot run", {{"reason", std::string(status.message())}});
  return 1;
}

}  // namespace
}  // namespace longspan::worker

int main(int argc, char** argv) { return longspan::worker::Main(argc, argv); }
