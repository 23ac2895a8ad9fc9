// Times the ops of a backend and prints each beside its prediction.
//
// A call's time is that of many calls divided by their number, on the clock of
// the host, between two synchronisations; sets of operands go round, so that
// nothing is found in cache. The median of the rounds counts.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/kernels/buffers.h"
#include "bench/kernels/cases.h"
#include "bench/kernels/predicted_time.h"
#include "common/base/check.h"
#include "kernels/select/backend_registry.h"

namespace longspan::bench {
namespace {

using kernels::BackendKind;
using kernels::DType;

constexpr int kNoGpu = 77;
constexpr double kRoundMs = 5.0;  // launches of a round take at least this
constexpr int kMaxCalls = 200;    // of a round

struct Options {
  BackendKind backend = BackendKind::kCuda;
  bool predict = false;
  bool f32 = false;
  double seconds = 0.25;  // of each case
  int64_t tokens_divisor = 1;
  std::string filter;
  Device device;
};

double Milliseconds(BenchDevice& device, const RunSet& run, int sets,
                    int calls) {
  using Clock = std::chrono::steady_clock;
  LONGSPAN_CHECK_OK(device.stream().Synchronize());
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < calls; ++i) run(i % sets);
  LONGSPAN_CHECK_OK(device.stream().Synchronize());
  return std::chrono::duration<double, std::milli>(Clock::now() - begin)
             .count() /
         calls;
}

double MedianMs(BenchDevice& device, const RunSet& run, int sets,
                double seconds) {
  Milliseconds(device, run, sets, sets);  // loads modules, makes handles
  const double first = Milliseconds(device, run, sets, 1);
  const int calls = static_cast<int>(
      std::clamp(kRoundMs / std::max(first, 1e-3), 1.0, double{kMaxCalls}));
  std::vector<double> rounds;
  double spent = 0.0;
  while (rounds.size() < 3 || (spent < 1e3 * seconds && rounds.size() < 100)) {
    rounds.push_back(Milliseconds(device, run, sets, calls));
    spent += rounds.back() * calls;
  }
  std::nth_element(rounds.begin(), rounds.begin() + rounds.size() / 2,
                   rounds.end());
  return rounds[rounds.size() / 2];
}

// One line of JSON; ms is null where nothing was measured.
void Print(const Case& one, const Options& options, const double* ms,
           const char* note) {
  std::printf(
      "{\"op\": \"%s\", \"size\": \"%s\", \"floor_ms\": %.5f, "
      "\"predicted_ms\": %.5f",
      one.op.c_str(), one.size.c_str(), FloorMs(one.cost, options.device),
      PredictedMs(one.cost, options.device));
  if (ms != nullptr) {
    std::printf(", \"ms\": %.5f, \"gb_per_s\": %.1f, \"tflop_per_s\": %.2f",
                *ms, one.cost.floor_bytes / *ms / 1e6,
                one.cost.operations / *ms / 1e9);
  }
  std::printf(", \"note\": \"%s\"}\n", note);
  std::fflush(stdout);
}

void Measure(BenchDevice& device, const Case& one, const Options& options) {
  const int sets = RotatingSets(one.set_bytes);
  if (sets * one.set_bytes > 0.85 * device.FreeBytes()) {
    Print(one, options, nullptr, "does not fit this device");
    return;
  }
  const RunSet run = one.prepare(device, sets);
  const double ms = MedianMs(device, run, sets, options.seconds);
  device.Clear();
  Print(one, options, &ms, "");
}

int Main(const Options& options) {
  const DType dtype = options.backend == BackendKind::kCuda && !options.f32
                          ? DType::kBF16
                          : DType::kF32;
  std::vector<Case> cases =
      AllCases(options.backend, dtype, options.tokens_divisor);
  cases.erase(std::remove_if(cases.begin(), cases.end(),
                             [&](const Case& one) {
                               return one.name().find(options.filter) ==
                                      std::string::npos;
                             }),
              cases.end());
  if (options.predict) {
    for (const Case& one : cases) Print(one, options, nullptr, "prediction");
    return 0;
  }
  auto backend = kernels::CreateBackend(options.backend);
  if (!backend.ok()) {
    std::fprintf(stderr, "longspan-bench-kernels: %s\n",
                 std::string(backend.status().message()).c_str());
    return kNoGpu;
  }
  BenchDevice device(*std::move(backend), 1);
  for (const Case& one : cases) Measure(device, one, options);
  return 0;
}

int Usage(int code) {
  std::printf(
      "longspan-bench-kernels [--backend cuda|cpu] [--filter TEXT] [--f32]\n"
      "    [--seconds S] [--predict] [--bandwidth B/s] [--matrix-rate FLOP/s]\n"
      "    [--tokens-divisor N]\n"
      "One line of JSON for each op and size. --predict measures nothing and\n"
      "needs no GPU. Exit status 77: the backend is not available here.\n");
  return code;
}

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--predict" || flag == "--f32") {
      (flag == "--f32" ? options.f32 : options.predict) = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string value = argv[++i];
    if (flag == "--backend" && (value == "cpu" || value == "cuda")) {
      options.backend = value == "cpu" ? BackendKind::kCpu : BackendKind::kCuda;
    } else if (flag == "--filter") {
      options.filter = value;
    } else if (flag == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (flag == "--bandwidth") {
      options.device.bytes_per_second = std::atof(value.c_str());
    } else if (flag == "--matrix-rate") {
      options.device.operations_per_second = std::atof(value.c_str());
    } else if (flag == "--tokens-divisor" && std::atoll(value.c_str()) > 0) {
      options.tokens_divisor = std::atoll(value.c_str());
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace longspan::bench

int main(int argc, char** argv) {
  using longspan::bench::Usage;
  if (argc == 2 && std::string(argv[1]) == "--help") return Usage(0);
  longspan::bench::Options options;
  if (!longspan::bench::Parse(argc, argv, options)) return Usage(2);
  return longspan::bench::Main(options);
}
