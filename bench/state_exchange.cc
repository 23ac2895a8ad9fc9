// The AllGather of memory states between processes of one machine, ours
// beside Gloo's stock collective: the same context options, the same sizes, in
// the same processes, alternating.
//
//   longspan-bench-state_exchange [--json FILE]
//
// Times are of rank 0, per call, the median over rounds. Bandwidth counts the
// bytes that rank 0 receives.
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/units.h"
#include "gloo/allgather.h"
#include "gloo/rendezvous/context.h"
#include "gloo/rendezvous/file_store.h"
#include "gloo/transport/tcp/device.h"
#include "nlohmann/json.hpp"
#include "tests/support/rendezvous_stores.h"
#include "worker/collective/gloo_group.h"

extern char** environ;

namespace longspan::worker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kSizes[] = {4 << 10, 16 << 10, 64 << 10, 256 << 10,
                              1 << 20, 4 << 20,  16 << 20};
constexpr int kRounds = 7;

struct Row {
  int ranks = 0;
  int64_t bytes = 0;  // of one rank's state
  double ours_us = 0;
  double stock_us = 0;
};

// One rank's ends of both contestants.
class Contest {
 public:
  Contest(const std::string& directory, int rank, int size)
      : rank_(rank), size_(size) {
    testing::DirectoryRendezvousStore store(directory + "/ours");
    GlooGroupOptions options;
    options.rank = rank;
    options.size = size;
    options.key_prefix = "bench";
    options.secret = "bench";
    auto group = CreateGlooGroup(options, store);
    LONGSPAN_CHECK_OK(group.status());
    group_ = *std::move(group);
    gloo::rendezvous::FileStore stock_store(directory + "/stock");
    auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
    auto stock = std::make_shared<gloo::rendezvous::Context>(rank, size);
    stock->connectFullMesh(stock_store, device);
    stock_ = stock;
  }

  Row Measure(int64_t bytes) {
    state_.resize(bytes / sizeof(float));
    gathered_.resize(size_ * state_.size());
    for (size_t i = 0; i < state_.size(); ++i) state_[i] = rank_ + 1;
    const int calls =
        static_cast<int>(std::clamp<int64_t>((8 << 20) / bytes, 3, 400));
    std::vector<double> ours, stock;
    for (int round = 0; round <= kRounds; ++round) {
      const double a = Time(calls, [this] { GatherOurs(); });
      const double b = Time(calls, [this] { GatherStock(); });
      if (round == 0) continue;  // warms up
      ours.push_back(a);
      stock.push_back(b);
    }
    return {size_, bytes, Median(&ours), Median(&stock)};
  }

 private:
  double Time(int calls, const std::function<void()>& gather) {
    std::fill(gathered_.begin(), gathered_.end(), 0.0f);
    LONGSPAN_CHECK_OK(group_->Barrier());
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) gather();
    const std::chrono::duration<double, std::micro> time = Clock::now() - start;
    LONGSPAN_CHECK_EQ(gathered_.back(), static_cast<float>(size_));
    return time.count() / calls;
  }

  static double Median(std::vector<double>* values) {
    std::sort(values->begin(), values->end());
    return (*values)[values->size() / 2];
  }

  void GatherOurs() {
    using kernels::DType;
    const auto count = static_cast<int64_t>(state_.size());
    std::vector<kernels::TensorView> receive;
    for (int r = 0; r < size_; ++r) {
      receive.emplace_back(gathered_.data() + r * count, DType::kF32,
                           std::initializer_list<int64_t>{count});
    }
    const kernels::ConstTensorView send(state_.data(), DType::kF32, {count});
    LONGSPAN_CHECK_OK(group_->AllGather(send, receive, TrafficTag())->Wait());
  }

  void GatherStock() {
    gloo::AllgatherOptions options(stock_);
    options.setInput(state_.data(), state_.size());
    options.setOutput(gathered_.data(), gathered_.size());
    gloo::allgather(options);
  }

  const int rank_;
  const int size_;
  std::unique_ptr<ProcessGroup> group_;
  std::shared_ptr<gloo::Context> stock_;
  std::vector<float> state_;
  std::vector<float> gathered_;
};

std::vector<Row> RunRank(const std::string& directory, int rank, int size) {
  Contest contest(directory, rank, size);
  std::vector<Row> rows;
  for (const int64_t bytes : kSizes) rows.push_back(contest.Measure(bytes));
  return rows;
}

pid_t SpawnRank(const std::string& directory, int rank, int size) {
  std::vector<std::string> words = {"/proc/self/exe", "--rank", directory,
                                    absl::StrCat(rank), absl::StrCat(size)};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = -1;
  LONGSPAN_CHECK_EQ(posix_spawn(&pid, words[0].c_str(), nullptr, nullptr,
                                arguments.data(), environ),
                    0);
  return pid;
}

std::vector<Row> RunWorld(int size) {
  std::string directory =
      std::filesystem::temp_directory_path() / "state_exchange_XXXXXX";
  LONGSPAN_CHECK(mkdtemp(directory.data()) != nullptr);
  std::filesystem::create_directory(directory + "/ours");
  std::filesystem::create_directory(directory + "/stock");
  std::vector<pid_t> children;
  for (int r = 1; r < size; ++r) {
    children.push_back(SpawnRank(directory, r, size));
  }
  std::vector<Row> rows = RunRank(directory, 0, size);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  std::filesystem::remove_all(directory);
  return rows;
}

void PrintRow(const Row& row) {
  const double received = static_cast<double>(row.bytes) * (row.ranks - 1);
  std::printf("%5d  %9s  %10.1f  %10.1f  %6.2f  %8.2f  %8.2f\n", row.ranks,
              FormatBytes(row.bytes).c_str(), row.ours_us, row.stock_us,
              row.stock_us / row.ours_us, received / row.ours_us / 1e3,
              received / row.stock_us / 1e3);
}

void WriteJson(const std::string& path, const std::vector<Row>& rows) {
  nlohmann::json json = {{"bench", "state_exchange"}};
  for (const Row& row : rows) {
    json["rows"].push_back({{"ranks", row.ranks},
                            {"bytes", row.bytes},
                            {"ours_us", row.ours_us},
                            {"stock_us", row.stock_us}});
  }
  std::ofstream(path) << json.dump(1) << "\n";
}

int Main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--rank") == 0) {
    RunRank(argv[2], std::atoi(argv[3]), std::atoi(argv[4]));
    return 0;
  }
  if (argc != 1 && !(argc == 3 && std::strcmp(argv[1], "--json") == 0)) {
    std::fprintf(stderr, "usage: %s [--json FILE]\n", argv[0]);
    return 2;
  }
  std::printf(
      "ranks      state     ours us    stock us   ratio  ours GB/s "
      "stock GB/s\n");
  std::vector<Row> rows;
  for (const int size : {2, 4}) {
    for (const Row& row : RunWorld(size)) {
      PrintRow(row);
      rows.push_back(row);
    }
  }
  if (argc == 3) WriteJson(argv[2], rows);
  // The state of one layer of the quickstart's model is of this order.
  const Row& typical = rows[1];
  std::printf("state_exchange: ours %.1f us, peer %.1f us, ratio %.2f\n",
              typical.ours_us, typical.stock_us,
              typical.stock_us / typical.ours_us);
  return 0;
}

}  // namespace
}  // namespace longspan::worker

int main(int argc, char** argv) { return longspan::worker::Main(argc, argv); }
