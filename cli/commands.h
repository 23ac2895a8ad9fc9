// Every subcommand: what it is asked, and the function that does it. Flags are
// declared in command_line.cc; each function lives in the file of its name and
// returns the exit code. Results go to stdout, everything else to stderr.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "cli/simulate_options.h"

namespace longspan::cli {

// Of every command that talks to a coordinator.
struct ClientOptions {
  std::string coordinator = "127.0.0.1:7600";
  std::string token_file;  // empty: none
  double timeout_seconds = 30;
};

struct ValidateOptions {
  std::string file;   // "-": stdin
  std::string print;  // "", "json" or "text": the spec, defaults resolved
  bool schema = false;
};
ExitCode RunValidate(const ValidateOptions& options);

struct PlanOptions {
  ClientOptions client;
  std::string file;
  bool json = false;
};
ExitCode RunPlan(const PlanOptions& options);

struct SubmitOptions {
  ClientOptions client;
  std::string file;
  std::string request_id;
  std::string tenant = "default";
  bool watch = false;
  bool json = false;
};
ExitCode RunSubmit(const SubmitOptions& options);

struct ListOptions {
  ClientOptions client;
  std::string tenant = "default";
  std::vector<std::string> states;  // "running", ...; empty: all
  int limit = 100;
  bool json = false;
};
ExitCode RunList(const ListOptions& options);

struct GetOptions {
  ClientOptions client;
  std::string job;
  bool json = false;
};
ExitCode RunGet(const GetOptions& options);

struct WatchOptions {
  ClientOptions client;
  std::string job;
  std::string resume_token;
  bool json = false;  // also when stdout is not a terminal
  // How long to try to reach a coordinator that went away.
  double reconnect_seconds = 600;
};
ExitCode RunWatch(const WatchOptions& options);

struct LogsOptions {
  ClientOptions client;
  std::string job;
  int64_t offset = 0;
  bool follow = false;
};
ExitCode RunLogs(const LogsOptions& options);

struct CancelOptions {
  ClientOptions client;
  std::string job;
  std::string reason;
};
ExitCode RunCancel(const CancelOptions& options);

struct DeleteOptions {
  ClientOptions client;
  std::string job;
};
ExitCode RunDelete(const DeleteOptions& options);

struct WorkersOptions {
  ClientOptions client;
  bool json = false;
};
ExitCode RunWorkers(const WorkersOptions& options);

struct GenerateOptions {
  ClientOptions client;
  std::string model_uri;  // one of model_uri and model_job
  std::string model_job;
  int64_t model_step = 0;
  std::string prompt;        // one of prompt, prompt_file, prompt_uri
  std::string prompt_file;   // on this machine; "-": stdin
  std::string prompt_uri;    // beneath a root of the workers
  int64_t prompt_begin = 0;  // bytes of prompt_uri; end 0: all
  int64_t prompt_end = 0;
  int64_t max_new_tokens = 256;
  std::optional<double> temperature;
  std::optional<double> top_p;
  int top_k = 0;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  int ranks = 1;
  std::string backend;
  std::string request_id;
  bool log_probabilities = false;
  bool json = false;
};
ExitCode RunGenerate(const GenerateOptions& options);

struct UpOptions {
  int workers = 2;
  std::string devices = "cpu";  // or cuda, or auto: GPUs if there are any
  int slots_per_device = 1;     // ranks that share a GPU
  int slots = 1;                // of the CPU
  int threads = 1;
  int port = 7600;          // of the coordinator
  int metrics_port = 7601;  // of the coordinator; workers count on from it
  std::string run_directory = "run";
  std::vector<std::string> roots;  // name=/absolute/path
  bool restart = true;
  std::string log_format = "text";  // of the daemons
  std::string binary_directory;     // empty: beside this program
};
ExitCode RunUp(const UpOptions& options);

struct OpOptions {
  std::string name;   // of cli/op/op_table.h
  std::string input;  // safetensors files
  std::string output;
  std::string backend = "cpu";
  std::string dtype;  // "f32", "f64", "bf16"; empty: that of the tensors
  int threads = 1;
  std::map<std::string, std::string> flags;  // of the op
};
ExitCode RunOp(const OpOptions& options);
ExitCode RunOpList();

ExitCode RunSimulate(const SimulateOptions& options);

// shell: "bash", "zsh" or "fish".
ExitCode RunCompletion(const std::string& shell);

}  // namespace longspan::cli
