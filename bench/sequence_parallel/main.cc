// Times training steps with every method of sequence parallelism over emulated
// networks: ranks are processes on loopback, each with the clock of a processor
// of its own (turn_clock.h, worker/collective/emulated_network_group.h).
//
// Prints lines of JSON: after every step {"done": share of the work}, after
// every length for each of its networks and methods
//   {"method", "ranks", "tokens", "latency_s", "bandwidth_bytes_per_s",
//    "seconds" (median), "worst_seconds", "exposed_seconds" and
//    "exposed_layers_seconds" (medians of the longest of a rank), "rounds"}
// bench/sequence_parallel.py drives it. Ranks end with rank 0, and that one
// when nobody reads its lines.
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/sequence_parallel/rank_bench.h"
#include "bench/sequence_parallel/turn_clock.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/job_spec/model_spec_from_proto.h"
#include "common/job_spec/parse_job_spec.h"
#include "common/job_spec/sequence_parallel_from_proto.h"
#include "longspan/v1/job.pb.h"
#include "tests/support/rendezvous_stores.h"
#include "worker/collective/gloo_group.h"

extern char** environ;

namespace longspan::bench {
namespace {

struct Options {
  std::string job;  // its model is trained
  int ranks = 4;
  std::vector<int64_t> tokens;
  std::vector<std::string> networks;  // latency in s : bytes per second
  std::vector<std::string> methods;
  int rounds = 5;
  // Of a child.
  int rank = 0;
  std::string directory;
  pid_t parent = 0;
};

absl::StatusOr<ModelSpec> ReadModel(const std::string& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  v1::JobSpec job;
  const std::vector<SpecViolation> violations =
      ParseJobSpec(text.str(), file, &job);
  if (!violations.empty()) {
    return absl::InvalidArgumentError(FormatViolations(file, violations));
  }
  return ResolveDefaults(ModelSpecFromProto(job.train().model()));
}

absl::StatusOr<SequenceParallel> ReadMethod(const std::string& name) {
  v1::SequenceParallel method = v1::LASP2;
  if (!v1::SequenceParallel_Parse(absl::AsciiStrToUpper(name), &method)) {
    return absl::InvalidArgumentError(absl::StrCat("no method '", name, "'"));
  }
  return SequenceParallelFromProto(method);
}

// As in a job file. All but ring_left: its work grows with the square of the
// length, and would be most of a run.
std::vector<std::string> UsualMethods() {
  std::vector<std::string> names;
  for (int i = 0; i < v1::SequenceParallel_descriptor()->value_count(); ++i) {
    const auto* value = v1::SequenceParallel_descriptor()->value(i);
    if (value->number() != v1::SEQUENCE_PARALLEL_UNSPECIFIED &&
        value->number() != v1::RING_LEFT) {
      names.push_back(absl::AsciiStrToLower(value->name()));
    }
  }
  return names;
}

struct NamedNetwork {
  double latency_s = 0;
  worker::EmulatedNetwork network;
};

absl::StatusOr<NamedNetwork> ReadNetwork(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  NamedNetwork read;
  if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &read.latency_s) ||
      !absl::SimpleAtod(parts[1], &read.network.bytes_per_second) ||
      read.latency_s < 0 || read.network.bytes_per_second <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("network '", text,
                     "': write latency in s : bytes per second, 1e-3:1e9"));
  }
  read.network.latency = absl::Seconds(read.latency_s);
  return read;
}

// ---- One rank --------------------------------------------------------------

// The thread of the rank alone: the transport's may run elsewhere. All ranks
// take their turns on the same processor.
void PinToLastProcessor() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof(allowed), &allowed);
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) last = cpu;
  }
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  LONGSPAN_CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Print(const Options& options, const std::string& method, int64_t tokens,
           const NamedNetwork& network,
           const std::vector<StepSample>& samples) {
  std::vector<double> seconds, state, exposed;
  for (const StepSample& sample : samples) {
    seconds.push_back(sample.seconds);
    state.push_back(sample.exposed_layers_seconds);
    exposed.push_back(sample.exposed_seconds);
  }
  std::printf(
      "{\"method\": \"%s\", \"ranks\": %d, \"tokens\": %lld, \"latency_s\": "
      "%g, \"bandwidth_bytes_per_s\": %g, \"seconds\": %.6f, "
      "\"worst_seconds\": %.6f, \"exposed_layers_seconds\": %.6f, "
      "\"exposed_seconds\": %.6f, \"rounds\": %zu}\n",
      method.c_str(), options.ranks, static_cast<long long>(tokens),
      network.latency_s, network.network.bytes_per_second, Median(seconds),
      *std::max_element(seconds.begin(), seconds.end()), Median(state),
      Median(exposed), samples.size());
  std::fflush(stdout);
}

// How far the bench is: a step counts as its tokens.
class Progress {
 public:
  explicit Progress(const Options& options) {
    for (const int64_t tokens : options.tokens) {
      all_ +=
          tokens * RankBench::StepCount(options.networks.size(),
                                        options.methods.size(), options.rounds);
    }
  }

  void Step(int64_t tokens) {
    done_ += tokens;
    std::printf("{\"done\": %g}\n", static_cast<double>(done_) / all_);
    std::fflush(stdout);
  }

 private:
  int64_t all_ = 0;
  int64_t done_ = 0;
};

absl::Status MeasureAll(const Options& options, RankBench& bench,
                        const std::vector<SequenceParallel>& methods,
                        const std::vector<NamedNetwork>& networks) {
  std::vector<worker::EmulatedNetwork> emulated;
  for (const NamedNetwork& network : networks) {
    emulated.push_back(network.network);
  }
  const bool prints = options.rank == 0;
  Progress progress(options);
  for (const int64_t tokens : options.tokens) {
    ASSIGN_OR_RETURN(
        const auto samples,
        bench.Measure(tokens, emulated, methods, options.rounds, [&] {
          if (prints) progress.Step(tokens);
        }));
    for (size_t n = 0; prints && n < networks.size(); ++n) {
      for (size_t m = 0; m < methods.size(); ++m) {
        Print(options, options.methods[m], tokens, networks[n], samples[n][m]);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status RunRank(const Options& options) {
  ASSIGN_OR_RETURN(const ModelSpec spec, ReadModel(options.job));
  std::vector<SequenceParallel> methods;
  for (const std::string& name : options.methods) {
    ASSIGN_OR_RETURN(methods.emplace_back(), ReadMethod(name));
  }
  std::vector<NamedNetwork> networks;
  for (const std::string& name : options.networks) {
    ASSIGN_OR_RETURN(networks.emplace_back(), ReadNetwork(name));
  }
  testing::DirectoryRendezvousStore store(options.directory);
  worker::GlooGroupOptions gloo;
  gloo.rank = options.rank;
  gloo.size = options.ranks;
  gloo.key_prefix = "bench";
  gloo.secret = "bench";
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::ProcessGroup> group,
                   worker::CreateGlooGroup(gloo, store));
  PinToLastProcessor();
  TurnClock clock(options.directory + "/turn");
  clock.GoOn(absl::ZeroDuration());
  ASSIGN_OR_RETURN(const std::unique_ptr<RankBench> bench,
                   RankBench::Create(spec, group.get(), &clock));
  RETURN_IF_ERROR(MeasureAll(options, *bench, methods, networks));
  clock.Stop();
  return absl::OkStatus();
}

// ---- All of them -----------------------------------------------------------

// A rank that outlives rank 0 would hold its turn for ever.
void EndWith(pid_t rank_zero) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != rank_zero) raise(SIGKILL);  // it was gone before
}

pid_t SpawnRank(int argc, char** argv, int rank, const std::string& directory) {
  std::vector<std::string> words(argv, argv + argc);
  words.insert(words.end(), {"--rank", absl::StrCat(rank), "--directory",
                             directory, "--parent", absl::StrCat(getpid())});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = -1;
  LONGSPAN_CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr,
                                arguments.data(), environ),
                    0);
  return pid;
}

absl::Status RunAll(Options options, int argc, char** argv) {
  std::string directory =
      std::filesystem::temp_directory_path() / "sequence_parallel_XXXXXX";
  LONGSPAN_CHECK(mkdtemp(directory.data()) != nullptr);
  options.directory = directory;
  std::vector<pid_t> children;
  for (int rank = 1; rank < options.ranks; ++rank) {
    children.push_back(SpawnRank(argc, argv, rank, directory));
  }
  const absl::Status status = RunRank(options);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  std::filesystem::remove_all(directory);
  return status;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the methods of sequence parallelism.");
  app.add_option("--job", options.job)->required();
  app.add_option("--ranks", options.ranks)->check(CLI::Range(2, 64));
  app.add_option("--tokens", options.tokens)->delimiter(',')->required();
  app.add_option("--networks", options.networks)->delimiter(',')->required();
  app.add_option("--methods", options.methods)->delimiter(',');
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  app.add_option("--rank", options.rank)->group("");
  app.add_option("--directory", options.directory)->group("");
  app.add_option("--parent", options.parent)->group("");
  CLI11_PARSE(app, argc, argv);
  if (options.methods.empty()) options.methods = UsualMethods();
  const bool alone = options.directory.empty();
  if (!alone) EndWith(options.parent);
  const absl::Status status =
      alone ? RunAll(options, argc, argv) : RunRank(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "longspan-bench-sequence_parallel: %s\n",
               std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace longspan::bench

int main(int argc, char** argv) { return longspan::bench::Main(argc, argv); }
