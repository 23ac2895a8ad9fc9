#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>

#include "cli/commands.h"
#include "cli/op_command.h"
#include "cli/simulate_command.h"
#include "common/base/edit_distance.h"
#include "common/base/version.h"

namespace longspan::cli {
namespace {

// Options live as long as the parser; a subcommand's callback stores its exit
// code.
class CommandLine {
 public:
  CommandLine() : app_("Trains and serves long-context models.", "longspan") {
    app_.set_version_flag("--version", VersionLine("longspan"));
    app_.require_subcommand(1);
    app_.set_help_all_flag("--help-all", "Help of every subcommand");
    app_.failure_message(CLI::FailureMessage::simple);
    app_.footer(
        std::string("Examples:\n"
                    "  longspan up --workers 2 --root corpus=$PWD/corpus\n"
                    "  longspan submit train.yaml --watch\n"
                    "  longspan generate --model-job JOB --prompt 'LOVE, n.'\n"
                    "\n") +
        kExitCodeHelp);
    AddValidate();
    AddPlan();
    AddSimulateCommand(app_, simulate_,
                       [this](ExitCode code) { exit_code_ = code; });
    AddSubmit();
    AddList();
    AddGet();
    AddWatch();
    AddLogs();
    AddCancel();
    AddDelete();
    AddWorkers();
    AddGenerate();
    AddUp();
    AddOpCommand(app_, op_, [this](ExitCode code) { exit_code_ = code; });
    AddCompletion();
  }

  int Run(int argc, char** argv) {
    if (argc > 1 && !KnowsName(app_, argv[1], "command")) {
      return static_cast<int>(ExitCode::kUsage);
    }
    if (argc > 2 && argv[1] == std::string("op") &&
        !KnowsName(*app_.get_subcommand("op"), argv[2], "op")) {
      return static_cast<int>(ExitCode::kUsage);
    }
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      int code = app_.exit(error);
      return code == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
    } catch (const std::exception& error) {
      std::cerr << "longspan: " << error.what() << "\n";
      return static_cast<int>(ExitCode::kInternal);
    }
    return static_cast<int>(exit_code_);
  }

  CLI::App& app() { return app_; }

 private:
  // False, with a hint on stderr, for a word that is no subcommand.
  static bool KnowsName(const CLI::App& app, const std::string& word,
                        const std::string& kind) {
    if (word.empty() || word[0] == '-') return true;
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({})) {
      if (command->get_name() == word) return true;
      names.push_back(command->get_name());
    }
    std::optional<std::string> closest = ClosestName(word, names);
    const std::string where = kind == "op" ? "op --list" : "--help";
    std::cerr << "longspan: '" << word << "' is not "
              << (kind == "op" ? "an " : "a ") << kind
              << (closest ? "; did you mean '" + *closest + "'?"
                          : "; see longspan " + where)
              << "\n";
    return false;
  }

  CLI::App* Add(const std::string& name, const std::string& description,
                std::function<ExitCode()> run, const std::string& footer) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->footer(footer);
    command->callback([this, run] { exit_code_ = run(); });
    return command;
  }

  static void AddClient(CLI::App* command, ClientOptions* client) {
    command
        ->add_option("--coordinator", client->coordinator,
                     "host:port of the coordinator")
        ->envname("LONGSPAN_COORDINATOR")
        ->capture_default_str();
    command
        ->add_option("--token-file", client->token_file,
                     "File with the cluster's token (chmod 600)")
        ->envname("LONGSPAN_TOKEN_FILE");
    command
        ->add_option("--timeout", client->timeout_seconds,
                     "Seconds to wait for an answer")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  }

  static void AddJob(CLI::App* command, std::string* job) {
    command
        ->add_option("job", *job,
                     "Job: its id, or tenants/TENANT/jobs/ID in full")
        ->required();
  }

  static void AddJson(CLI::App* command, bool* json) {
    command->add_flag("--json", *json, "Print JSON");
  }

  void AddValidate() {
    ValidateOptions& o = validate_;
    CLI::App* c = Add(
        "validate", "Check a job file, without a coordinator",
        [&o] {
          if (!o.schema && o.file.empty()) {
            std::cerr << "longspan: name the job file, or --schema\n";
            return ExitCode::kUsage;
          }
          return RunValidate(o);
        },
        "Every mistake is printed, one a line: file:line:column: path: what.\n"
        "Examples:\n"
        "  longspan validate train.yaml\n"
        "  longspan validate --print json train.yaml   # defaults resolved\n"
        "  longspan validate --schema > job.schema.json # for editors\n");
    c->add_option("file", o.file, "Job file, YAML or JSON; - is stdin");
    c->add_option("--print", o.print, "Print the spec, defaults resolved")
        ->check(CLI::IsMember({"json", "text"}));
    c->add_flag("--schema", o.schema, "Print the JSON Schema of job files");
  }

  void AddPlan() {
    PlanOptions& o = plan_;
    CLI::App* c = Add(
        "plan", "Show what a job would hold and send, or why it cannot run",
        [&o] { return RunPlan(o); },
        "Token ranges and memory of every rank, bytes of every layer.\n"
        "Example:\n  longspan plan train.yaml\n");
    AddClient(c, &o.client);
    c->add_option("file", o.file, "Job file; - is stdin")->required();
    AddJson(c, &o.json);
  }

  void AddSubmit() {
    SubmitOptions& o = submit_;
    CLI::App* c = Add(
        "submit", "Submit a job file", [&o] { return RunSubmit(o); },
        "Prints the job's name; with --watch it goes to stderr and the\n"
        "events follow on stdout, as JSON lines unless it is a terminal.\n"
        "Examples:\n"
        "  longspan submit train.yaml --watch\n"
        "  longspan submit train.yaml --request-id $(uuidgen)   # retry "
        "safely\n");
    AddClient(c, &o.client);
    c->add_option("file", o.file, "Job file, YAML or JSON; - is stdin")
        ->required();
    c->add_option("--request-id", o.request_id,
                  "UUID; the same id submits only once");
    c->add_option("--tenant", o.tenant, "Tenant")->capture_default_str();
    c->add_flag("--watch", o.watch, "Follow the job to its end");
    AddJson(c, &o.json);
  }

  void AddList() {
    ListOptions& o = list_;
    CLI::App* c = Add(
        "list", "List jobs", [&o] { return RunList(o); },
        "Example:\n  longspan list --state running,pending\n");
    AddClient(c, &o.client);
    c->add_option("--state", o.states, "Only these states")
        ->delimiter(',')
        ->check(
            CLI::IsMember({"pending", "starting", "running", "recovering",
                           "cancelling", "succeeded", "failed", "cancelled"}));
    c->add_option("--tenant", o.tenant, "Tenant")->capture_default_str();
    c->add_option("--limit", o.limit, "At most this many")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    AddJson(c, &o.json);
  }

  void AddGet() {
    GetOptions& o = get_;
    CLI::App* c = Add(
        "get", "Show one job", [&o] { return RunGet(o); },
        "Example:\n  longspan get JOB --json\n");
    AddClient(c, &o.client);
    AddJob(c, &o.job);
    AddJson(c, &o.json);
  }

  void AddWatch() {
    WatchOptions& o = watch_;
    CLI::App* c = Add(
        "watch", "Follow a job to its end", [&o] { return RunWatch(o); },
        "A progress bar on a terminal, JSON lines otherwise. Survives a\n"
        "restart of the coordinator without a gap. The exit code says how\n"
        "the job ended.\n"
        "Example:\n  longspan watch JOB | jq .progress.loss\n");
    AddClient(c, &o.client);
    AddJob(c, &o.job);
    c->add_option("--resume-token", o.resume_token,
                  "Only events after this one");
    c->add_option("--reconnect-seconds", o.reconnect_seconds,
                  "Give up after so long without a coordinator")
        ->capture_default_str();
    AddJson(c, &o.json);
  }

  void AddLogs() {
    LogsOptions& o = logs_;
    CLI::App* c = Add(
        "logs", "Print a job's log", [&o] { return RunLogs(o); },
        "Example:\n  longspan logs JOB --follow\n");
    AddClient(c, &o.client);
    AddJob(c, &o.job);
    c->add_option("--offset", o.offset, "Start at this byte")
        ->check(CLI::NonNegativeNumber);
    c->add_flag("-f,--follow", o.follow, "Go on until the job ends");
  }

  void AddCancel() {
    CancelOptions& o = cancel_;
    CLI::App* c = Add(
        "cancel", "Cancel a job", [&o] { return RunCancel(o); },
        "Example:\n  longspan cancel JOB --reason 'typo'\n");
    AddClient(c, &o.client);
    AddJob(c, &o.job);
    c->add_option("--reason", o.reason, "Shown with the job");
  }

  void AddDelete() {
    DeleteOptions& o = delete_;
    CLI::App* c = Add(
        "delete", "Forget a finished job; its files stay",
        [&o] { return RunDelete(o); }, "Example:\n  longspan delete JOB\n");
    AddClient(c, &o.client);
    AddJob(c, &o.job);
  }

  void AddWorkers() {
    WorkersOptions& o = workers_;
    CLI::App* c = Add(
        "workers", "List workers and their devices",
        [&o] { return RunWorkers(o); }, "Example:\n  longspan workers\n");
    AddClient(c, &o.client);
    AddJson(c, &o.json);
  }

  void AddGenerate() {
    GenerateOptions& o = generate_;
    CLI::App* c = Add(
        "generate", "Continue a prompt", [&o] { return RunGenerate(o); },
        "Text goes to stdout as it is made, figures to stderr.\n"
        "Examples:\n"
        "  longspan generate --model-job JOB --prompt 'LOVE, n.'\n"
        "  longspan generate --model models://devil --prompt-file "
        "book.txt \\\n      --ranks 2 --temperature 0 --max-new-tokens "
        "400\n");
    AddClient(c, &o.client);
    CLI::Option_group* model = c->add_option_group("model");
    model->add_option("--model", o.model_uri, "URI of a checkpoint directory");
    model->add_option("--model-job", o.model_job,
                      "Train job whose checkpoint is used");
    model->require_option(1);
    c->add_option("--step", o.model_step, "Step of --model-job; 0: newest");
    CLI::Option_group* prompt = c->add_option_group("prompt");
    prompt->add_option("--prompt", o.prompt, "The prompt itself");
    prompt->add_option("--prompt-file", o.prompt_file,
                       "A file on this machine; - is stdin");
    prompt->add_option("--prompt-uri", o.prompt_uri,
                       "A file beneath a root of the workers");
    prompt->require_option(1);
    c->add_option("--prompt-begin", o.prompt_begin,
                  "First byte of --prompt-uri")
        ->check(CLI::NonNegativeNumber);
    c->add_option("--prompt-end", o.prompt_end,
                  "Byte after the last of --prompt-uri; 0: the end")
        ->check(CLI::NonNegativeNumber);
    AddSampling(c, &o);
    c->add_option("--ranks", o.ranks, "Ranks that share the prompt")
        ->capture_default_str();
    c->add_option("--backend", o.backend, "cpu (default) or cuda");
    c->add_option("--request-id", o.request_id, "UUID, for retries");
    AddJson(c, &o.json);
  }

  static void AddSampling(CLI::App* c, GenerateOptions* o) {
    c->add_option("-n,--max-new-tokens", o->max_new_tokens,
                  "Tokens to generate at most")
        ->capture_default_str();
    c->add_option("--temperature", o->temperature, "0: greedy; default 1");
    c->add_option("--top-k", o->top_k, "Only the k most likely; 0: all");
    c->add_option("--top-p", o->top_p, "Only the nucleus; default 1");
    c->add_option("--seed", o->seed, "Seed of the sampler");
    c->add_option("--stop", o->stop, "End before this text; may be repeated");
    c->add_flag("--log-probabilities", o->log_probabilities,
                "With --json: log-probabilities of the tokens");
  }

  void AddUp() {
    UpOptions& o = up_;
    CLI::App* c = Add(
        "up", "Start a coordinator and workers on this machine",
        [&o] { return RunUp(o); },
        "Everything listens on loopback. Daemons that die are started\n"
        "again. Stops on Ctrl-C or SIGTERM.\n"
        "Example:\n"
        "  longspan up --workers 2 --threads 1 --root "
        "corpus=$PWD/deploy/corpus\n");
    c->add_option("--workers", o.workers, "Worker daemons")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    c->add_option("--devices", o.devices,
                  "What workers offer: cpu, cuda, or auto (GPUs if there are\n"
                  "any). GPUs are for one worker")
        ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
        ->capture_default_str();
    c->add_option("--slots-per-device", o.slots_per_device,
                  "Ranks that share a GPU; more than 1 is for tests")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    c->add_option("--slots", o.slots, "CPU slots of each worker")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    c->add_option("--threads", o.threads, "Threads of each slot")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    c->add_option("--port", o.port, "Port of the coordinator")
        ->check(CLI::Range(1, 65535))
        ->capture_default_str();
    c->add_option("--metrics-port", o.metrics_port,
                  "Port of the coordinator's metrics; workers count on")
        ->check(CLI::Range(1, 65535 - 64))
        ->capture_default_str();
    c->add_option("--run-dir", o.run_directory, "State, outputs and logs")
        ->capture_default_str();
    c->add_option("--root", o.roots,
                  "name=/directory that jobs may read; may be repeated");
    c->add_flag("!--no-restart", o.restart,
                "Stop everything when a daemon dies");
    c->add_option("--log-format", o.log_format,
                  "What daemons and executors log: text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    c->add_option("--bin-dir", o.binary_directory,
                  "Where the daemons are; default: beside this program");
  }

  void AddCompletion() {
    CLI::App* c = Add(
        "completion", "Print a completion script for a shell",
        [this] { return RunCompletion(shell_); },
        "Examples:\n"
        "  source <(longspan completion bash)\n"
        "  longspan completion fish | source\n");
    c->add_option("shell", shell_, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }

  CLI::App app_;
  ExitCode exit_code_ = ExitCode::kOk;
  ValidateOptions validate_;
  PlanOptions plan_;
  SubmitOptions submit_;
  ListOptions list_;
  GetOptions get_;
  WatchOptions watch_;
  LogsOptions logs_;
  CancelOptions cancel_;
  DeleteOptions delete_;
  WorkersOptions workers_;
  GenerateOptions generate_;
  UpOptions up_;
  OpOptions op_;
  SimulateOptions simulate_;
  std::string shell_;
};

}  // namespace

int RunCommandLine(int argc, char** argv) {
  return CommandLine().Run(argc, argv);
}

std::vector<CommandSummary> SummariseCommands() {
  CommandLine line;
  std::vector<CommandSummary> commands;
  for (const CLI::App* app : line.app().get_subcommands({})) {
    CommandSummary summary;
    summary.name = app->get_name();
    summary.description = app->get_description();
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        summary.flags.push_back("--" + name);
      }
    }
    // Options in groups belong to unnamed sub-apps.
    for (const CLI::App* group : app->get_subcommands({})) {
      for (const CLI::Option* option : group->get_options()) {
        for (const std::string& name : option->get_lnames()) {
          if (name != "help") summary.flags.push_back("--" + name);
        }
      }
    }
    commands.push_back(summary);
  }
  return commands;
}

}  // namespace longspan::cli
