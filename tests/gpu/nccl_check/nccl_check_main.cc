// longspan-nccl-check: whether NCCL's exchanges leave the bits of the CPU's.
//
//   longspan-nccl-check --ranks=N [--seconds=S]
//
// Starts N processes on the first GPU. Each is a rank of an NCCL group on the
// device and of a Gloo group on the CPU, runs every exchange of
// exchange_cases.h over both, and compares. NCCL takes the ranks for hosts of
// their own (NCCL_HOSTID) that talk through sockets. Random inputs:
// LONGSPAN_TEST_SEED; sums of several pieces: LONGSPAN_GPU_SHAPES=large. Half
// of the seconds are for connecting, a quarter for each exchange: a rank that
// waits longer says for what, before all of them are ended.
//
// Exit status: 0 all bits are equal, 1 not (said in a line), 2 wrong flags.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/select/backend_registry.h"
#include "tests/gpu/nccl_check/exchange_cases.h"
#include "tests/gpu/nccl_check/rank_processes.h"
#include "tests/support/gpu_case/gpu_case.h"
#include "tests/support/rendezvous_stores.h"
#include "worker/collective/gloo_group.h"
#include "worker/collective/nccl_group.h"

namespace longspan {
namespace {

struct Options {
  int ranks = 2;
  int seconds = 20;
  // Of a rank's process.
  int rank = -1;
  std::string store;

  // The ranks give up, and say on what, before they are ended.
  absl::Duration connect_timeout() const { return absl::Seconds(seconds) / 2; }
  absl::Duration collective_timeout() const {
    return absl::Seconds(seconds) / 4;
  }
};

// What one side computes with.
struct Side {
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<kernels::Stream> stream;
  std::unique_ptr<worker::ProcessGroup> group;
};

absl::StatusOr<Side> MakeBackend(kernels::BackendKind kind) {
  Side side;
  ASSIGN_OR_RETURN(side.backend, kernels::CreateBackend(kind));
  ASSIGN_OR_RETURN(side.stream, side.backend->CreateStream(1));
  return side;
}

absl::StatusOr<Side> ConnectDevice(const Options& options,
                                   worker::RendezvousStore& store) {
  ASSIGN_OR_RETURN(Side side, MakeBackend(kernels::BackendKind::kCuda));
  worker::NcclGroupOptions group = {.rank = options.rank,
                                    .size = options.ranks,
                                    .key_prefix = "device",
                                    .backend = side.backend.get()};
  group.connect_timeout = options.connect_timeout();
  group.collective_timeout = options.collective_timeout();
  ASSIGN_OR_RETURN(side.group, worker::CreateNcclGroup(group, store));
  return side;
}

absl::StatusOr<Side> ConnectCpu(const Options& options,
                                worker::RendezvousStore& store) {
  ASSIGN_OR_RETURN(Side side, MakeBackend(kernels::BackendKind::kCpu));
  worker::GlooGroupOptions group = {.rank = options.rank,
                                    .size = options.ranks,
                                    .key_prefix = "cpu",
                                    .secret = "of nobody else"};
  group.connect_timeout = options.connect_timeout();
  group.collective_timeout = options.connect_timeout();
  ASSIGN_OR_RETURN(side.group, worker::CreateGlooGroup(group, store));
  return side;
}

absl::Status CompareBits(const std::string& name, const std::string& device,
                         const std::string& cpu) {
  if (device == cpu) return absl::OkStatus();
  const auto differ =
      std::mismatch(device.begin(), device.end(), cpu.begin(), cpu.end());
  return absl::InternalError(absl::StrCat(
      name, ": byte ", differ.first - device.begin(), " of ", device.size(),
      " differs from the CPU's, seed ", TestSeed()));
}

absl::Status RunCase(const ExchangeCase& exchange_case, uint64_t seed,
                     Exchange& device, Exchange& cpu) {
  for (Exchange* side : {&device, &cpu}) {
    side->Restart(seed);
    const absl::Status status = exchange_case.run(*side);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(exchange_case.name, ": ",
                                                      status.message()));
    }
  }
  return CompareBits(exchange_case.name, device.kept(), cpu.kept());
}

absl::Status RunCases(const Options& options, const Side& device_side,
                      const Side& cpu_side) {
  Exchange device(device_side.backend.get(), device_side.stream.get(),
                  device_side.group.get());
  Exchange cpu(cpu_side.backend.get(), cpu_side.stream.get(),
               cpu_side.group.get());
  const auto cases = ExchangeCases(Shapes() == ShapeSize::kLarge);
  // The second round has other numbers, and buffers that were used before.
  for (uint64_t round = 0; round < 2; ++round) {
    uint64_t seed = 2 * TestSeed() + round;
    for (const ExchangeCase& exchange_case : cases) {
      seed = seed * 31 + 7;
      RETURN_IF_ERROR(RunCase(exchange_case, seed, device, cpu));
    }
  }
  if (options.rank == 0) {
    std::printf("%d ranks on %s: %zu exchanges, the bits of the CPU's\n",
                options.ranks, device_side.backend->instruction_set().c_str(),
                2 * cases.size());
  }
  return cpu_side.group->Barrier();
}

void Say(const std::string& who, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", who.c_str(),
               std::string(status.message()).c_str());
}

absl::Status RunRank(const Options& options) {
  testing::DirectoryRendezvousStore store(options.store);
  ASSIGN_OR_RETURN(const Side cpu, ConnectCpu(options, store));
  ASSIGN_OR_RETURN(const Side device, ConnectDevice(options, store));
  // One whose NCCL does not connect says so before others miss it.
  RETURN_IF_ERROR(cpu.group->Barrier());
  const absl::Status status = RunCases(options, device, cpu);
  if (status.ok()) return status;
  // Before the groups end, which may take a while.
  Say(absl::StrCat("rank ", options.rank), status);
  cpu.group->Abort(status);
  device.group->Abort(status);
  std::_Exit(1);
}

std::vector<std::string> EnvironmentOf(int rank) {
  std::vector<std::string> environment = {
      absl::StrCat("NCCL_HOSTID=longspan-nccl-check-", rank),
      "NCCL_P2P_DISABLE=1", "NCCL_SHM_DISABLE=1", "NCCL_NET=Socket"};
  if (std::getenv("NCCL_SOCKET_IFNAME") == nullptr) {
    environment.push_back("NCCL_SOCKET_IFNAME=lo");
  }
  return environment;
}

absl::Status StartRanks(const Options& options) {
  std::string store =
      std::filesystem::temp_directory_path() / "longspan-nccl-check-XXXXXX";
  if (mkdtemp(store.data()) == nullptr) {
    return absl::UnavailableError("cannot make " + store);
  }
  std::vector<RankCommand> ranks;
  for (int rank = 0; rank < options.ranks; ++rank) {
    ranks.push_back({{absl::StrCat("--ranks=", options.ranks),
                      absl::StrCat("--seconds=", options.seconds),
                      absl::StrCat("--rank=", rank), "--store=" + store},
                     EnvironmentOf(rank)});
  }
  const absl::Status status = RunRanks(ranks, absl::Seconds(options.seconds));
  std::error_code ignored;
  std::filesystem::remove_all(store, ignored);
  return status;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app{"Compares NCCL's exchanges with the CPU's, bit for bit."};
  app.add_option("--ranks", options.ranks, "processes, all on the first GPU")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "time for all of it")
      ->check(CLI::Range(1, 600))
      ->capture_default_str();
  app.add_option("--rank", options.rank)->group("");
  app.add_option("--store", options.store)->group("");
  CLI11_PARSE(app, argc, argv);
  const bool is_rank = options.rank >= 0;
  const absl::Status status = is_rank ? RunRank(options) : StartRanks(options);
  if (status.ok()) return 0;
  Say(is_rank ? absl::StrCat("rank ", options.rank) : "longspan-nccl-check",
      status);
  return 1;
}

}  // namespace
}  // namespace longspan

int main(int argc, char** argv) { return longspan::Main(argc, argv); }
