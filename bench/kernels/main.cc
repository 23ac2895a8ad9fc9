// Times the ops of a backend and prints each beside its prediction.
//
// A call's time is that of many calls divided by their number, on the clock of
// the host, between two synchronisations; sets of operands go round, so that
// nothing is found in cache. The median of the rounds counts.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/kernels/buffers.h"
#include "bench/kernels/cases.h"
#include "bench/kernels/known_device.h"
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
  int64_t skip = 0;  // cases at the front of those that match
  DeviceFlags device;
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

// One line of JSON, without what nobody predicts or measured.
void Print(const Case& one, const std::optional<Device>& known,
           const double* ms, const char* note) {
  std::printf("{\"op\": \"%s\", \"size\": \"%s\"", one.op.c_str(),
              one.size.c_str());
  if (known.has_value()) {
    std::printf(", \"floor_ms\": %.5f, \"predicted_ms\": %.5f",
                FloorMs(one.cost, *known), PredictedMs(one.cost, *known));
  }
  if (ms != nullptr) {
    std::printf(", \"ms\": %.5f, \"gb_per_s\": %.1f, \"tflop_per_s\": %.2f",
                *ms, one.cost.floor_bytes / *ms / 1e6,
                one.cost.operations / *ms / 1e9);
  }
  std::printf(", \"note\": \"%s\"}\n", note);
  std::fflush(stdout);
}

void Measure(BenchDevice& device, const Case& one,
             const std::optional<Device>& known, double seconds) {
  const int sets = RotatingSets(one.set_bytes);
  if (sets * one.set_bytes > 0.85 * device.FreeBytes()) {
    Print(one, known, nullptr, "does not fit this device");
    return;
  }
  const RunSet run = one.prepare(device, sets);
  const double ms = MedianMs(device, run, sets, seconds);
  device.Clear();
  Print(one, known, &ms, "");
}

std::vector<Case> CasesOf(const Options& options) {
  const DType dtype = options.backend == BackendKind::kCuda && !options.f32
                          ? DType::kBF16
                          : DType::kF32;
  std::vector<Case> cases;
  int64_t skip = options.skip;
  for (Case& one : AllCases(options.backend, dtype, options.tokens_divisor)) {
    if (one.name().find(options.filter) == std::string::npos) continue;
    if (skip-- <= 0) cases.push_back(std::move(one));
  }
  return cases;
}

int Predict(const Options& options) {
  const std::optional<Device> known =
      options.device.Resolve(options.device.name());
  PrintDevice(options.device.name(), known);
  for (const Case& one : CasesOf(options)) {
    Print(one, known, nullptr, "prediction");
  }
  return 0;
}

int Main(const Options& options) {
  if (options.predict) return Predict(options);
  auto backend = kernels::CreateBackend(options.backend);
  if (!backend.ok()) {
    std::fprintf(stderr, "longspan-bench-kernels: %s\n",
                 std::string(backend.status().message()).c_str());
    return kNoGpu;
  }
  const std::string name = (*backend)->instruction_set();
  const std::optional<Device> known = options.device.Resolve(name);
  PrintDevice(name, known);
  BenchDevice device(*std::move(backend), 1);
  for (const Case& one : CasesOf(options)) {
    Measure(device, one, known, options.seconds);
  }
  return 0;
}

int Usage(int code) {
  std::printf(
      "longspan-bench-kernels [--backend cuda|cpu] [--filter TEXT] [--f32]\n"
      "    [--seconds S] [--skip N] [--tokens-divisor N] [--predict]\n"
      "    [--device NAME] [--bandwidth B/s] [--matrix-rate FLOP/s]\n"
      "One line of JSON for the device, then one for each op and size but the\n"
      "first N. --predict measures nothing and needs no GPU: for an H200 or\n"
      "--device H100. Other devices are measured beside no prediction, unless\n"
      "the two rates are given. An op that fails ends the program.\n"
      "Exit status 77: the backend is not available here.\n");
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
    } else if (flag == "--skip") {
      options.skip = std::atoll(value.c_str());
    } else if (flag == "--tokens-divisor" && std::atoll(value.c_str()) > 0) {
      options.tokens_divisor = std::atoll(value.c_str());
    } else if (!options.device.Set(flag, value)) {
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
