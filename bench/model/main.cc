// Times training steps and generated tokens of one model on one device, each
// beside its prediction. One line of JSON each.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/kernels/known_device.h"
#include "bench/model/model_bench.h"
#include "bench/model/predicted_model.h"
#include "common/base/check.h"
#include "common/model_spec/model_cost.h"
#include "common/model_spec/parameter_layout.h"
#include "kernels/cuda/cuda_devices.h"
#include "kernels/select/backend_registry.h"

namespace longspan::bench {
namespace {

using kernels::BackendKind;

constexpr int kNoGpu = 77;
constexpr int64_t kContext = 1024;  // tokens before those generated

struct Options {
  BackendKind backend = BackendKind::kCuda;
  bool predict = false;
  std::vector<int64_t> lengths = {2048,  4096,  8192,   16384,
                                  32768, 65536, 131072, 262144};
  int steps = 3;
  int new_tokens = 100;
  DeviceFlags device;
  ModelSpec spec;
};

// Linear-Llama3 with 1.36 G parameters: 24 layers of 16 heads of 128.
ModelSpec LinearLlama() {
  ModelSpec spec;
  spec.vocabulary_size = 32000;
  spec.hidden_size = 2048;
  spec.layer_count = 24;
  spec.layer_pattern = "L";
  spec.linear.mixer = LinearMixer::kSimpleGla;
  spec.linear.heads = 16;
  spec.linear.short_convolution = 0;
  spec.linear.output_gate = false;
  spec.mlp.intermediate_size = 5632;
  return spec;
}

struct Row {
  const char* what;
  int64_t tokens;
  double per_step;  // tokens that a step makes
  double planned_gb = 0.0;
  // What is not known is left out.
  std::optional<double> predicted_ms, ms, mfu;
  std::string note;
};

void PrintTime(const char* prefix, const Row& row, double ms) {
  std::printf(", \"%sms\": %.4f, \"%stokens_per_second\": %.1f", prefix, ms,
              prefix, 1e3 * row.per_step / ms);
}

void Print(const Row& row) {
  std::printf("{\"what\": \"%s\", \"tokens\": %lld, \"planned_gb\": %.2f",
              row.what, static_cast<long long>(row.tokens), row.planned_gb);
  if (row.predicted_ms) PrintTime("predicted_", row, *row.predicted_ms);
  if (row.ms) PrintTime("", row, *row.ms);
  if (row.mfu) std::printf(", \"mfu\": %.4f", *row.mfu);
  std::printf(", \"note\": \"%s\"}\n", row.note.c_str());
  std::fflush(stdout);
}

// What JSON would have to escape does not occur in our messages but quotes.
std::string Plain(std::string text) {
  std::replace(text.begin(), text.end(), '"', '\'');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// One run: all rows on one device, or of one prediction if `bench` is null.
class Rows {
 public:
  Rows(const Options& options, ModelBench* bench,
       const std::optional<Device>& device)
      : options_(options), bench_(bench), device_(device) {}

  void Train(int64_t tokens);
  void Generate();
  bool failed() const { return failed_; }

 private:
  // Takes the measurement or its error; null: the prediction is all.
  void Finish(Row row, const absl::StatusOr<double>* ms);
  std::optional<double> Mfu(int64_t tokens, std::optional<double> ms) const;

  const Options& options_;
  ModelBench* const bench_;
  const std::optional<Device> device_;
  bool failed_ = false;
};

std::optional<double> Rows::Mfu(int64_t tokens,
                                std::optional<double> ms) const {
  if (!ms || !device_ || device_->peak_operations_per_second == 0.0) {
    return std::nullopt;
  }
  return TrainFlopsPerToken(options_.spec, tokens) * tokens /
         (1e-3 * *ms * device_->peak_operations_per_second);
}

void Rows::Finish(Row row, const absl::StatusOr<double>* ms) {
  if (ms == nullptr) {
    row.note = "prediction";
  } else if (ms->ok()) {
    row.ms = **ms;
  } else {
    row.note = Plain(std::string(ms->status().message()));
    failed_ = true;
    std::fprintf(stderr, "longspan-bench-model: %s, %lld tokens: %s\n",
                 row.what, static_cast<long long>(row.tokens),
                 row.note.c_str());
  }
  if (std::string_view(row.what) == "train") {
    row.mfu = Mfu(row.tokens, ms == nullptr ? row.predicted_ms : row.ms);
  }
  Print(row);
}

void Rows::Train(int64_t tokens) {
  Row row = {"train", tokens, static_cast<double>(tokens)};
  if (device_) {
    row.predicted_ms =
        PredictTrainStep(options_.spec, tokens, *device_).total_ms();
  }
  const int64_t planned =
      PlannedTrainBytes(options_.spec, options_.backend, tokens);
  row.planned_gb = 1e-9 * static_cast<double>(planned);
  if (bench_ == nullptr) return Finish(row, nullptr);
  const int64_t there = bench_->DeviceBytes();
  if (there > 0 && planned > kernels::cuda::PlannableBytes(there, 1)) {
    row.note = "does not fit this device";
    return Print(row);
  }
  const auto ms = bench_->TrainStepMs(tokens, options_.steps);
  Finish(row, &ms);
}

void Rows::Generate() {
  Row row = {"generate", options_.new_tokens, 1.0};
  if (device_) {
    row.predicted_ms = PredictTokenMs(options_.spec, kContext, *device_);
  }
  if (bench_ == nullptr) return Finish(row, nullptr);
  const auto ms = bench_->TokenMs(kContext, options_.new_tokens);
  Finish(row, &ms);
}

int RunRows(const Options& options, ModelBench* bench,
            const std::string& name) {
  const std::optional<Device> device = options.device.Resolve(name);
  PrintDevice(name, device);
  std::fprintf(stderr, "%.3f G parameters\n",
               1e-9 * static_cast<double>(ParameterCount(options.spec)));
  Rows rows(options, bench, device);
  rows.Generate();
  for (int64_t tokens : options.lengths) rows.Train(tokens);
  return rows.failed() ? 1 : 0;
}

int Main(Options options) {
  options.spec = ResolveDefaults(options.spec);
  for (const SpecMistake& mistake : Validate(options.spec)) {
    std::fprintf(stderr, "longspan-bench-model: %s: %s\n", mistake.path.c_str(),
                 mistake.message.c_str());
    return 2;
  }
  if (options.predict) return RunRows(options, nullptr, options.device.name());
  auto backend = kernels::CreateBackend(options.backend);
  if (!backend.ok()) {
    std::fprintf(stderr, "longspan-bench-model: %s\n",
                 std::string(backend.status().message()).c_str());
    return kNoGpu;
  }
  const std::string name = (*backend)->instruction_set();
  ModelBench bench(options.spec, options.backend, *std::move(backend));
  return RunRows(options, &bench, name);
}

int Usage(int code) {
  std::printf(
      "longspan-bench-model [--backend cuda|cpu] [--predict]\n"
      "    [--lengths N,N,...] [--steps N] [--new-tokens N]\n"
      "    [--hidden N] [--layers N] [--vocabulary N]\n"
      "    [--device NAME] [--bandwidth B/s] [--matrix-rate FLOP/s]\n"
      "    [--peak FLOP/s]\n"
      "Training steps of one sequence of each length, and generated tokens, "
      "of\n"
      "Linear-Llama3 with 1.36 G parameters or the given sizes. --predict\n"
      "measures nothing: for an H200 or --device H100. Other devices are\n"
      "measured beside no prediction, unless the rates are given. Exit "
      "status:\n"
      "1 a measurement failed, 77 the backend is not available here.\n");
  return code;
}

std::vector<int64_t> Numbers(const std::string& text) {
  std::vector<int64_t> numbers;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    numbers.push_back(std::atoll(text.substr(at, comma - at).c_str()));
    at = comma + 1;
  }
  return numbers;
}

bool SetSize(const std::string& flag, int64_t value, Options& options) {
  if (value <= 0) return false;
  if (flag == "--hidden") {
    options.spec.hidden_size = value;
    options.spec.linear.heads = std::max<int64_t>(value / 128, 1);
    options.spec.mlp.intermediate_size = 0;
  } else if (flag == "--layers") {
    options.spec.layer_count = value;
  } else if (flag == "--vocabulary") {
    options.spec.vocabulary_size = value;
  } else if (flag == "--steps") {
    options.steps = static_cast<int>(value);
  } else if (flag == "--new-tokens") {
    options.new_tokens = static_cast<int>(value);
  } else {
    return false;
  }
  return true;
}

bool SetFlag(const std::string& flag, const std::string& value,
             Options& options) {
  if (flag == "--backend" && (value == "cpu" || value == "cuda")) {
    options.backend = value == "cpu" ? BackendKind::kCpu : BackendKind::kCuda;
  } else if (flag == "--lengths") {
    options.lengths = Numbers(value);
    return *std::min_element(options.lengths.begin(), options.lengths.end()) >
           0;
  } else if (options.device.Set(flag, value)) {
    return true;
  } else {
    return SetSize(flag, std::atoll(value.c_str()), options);
  }
  return true;
}

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--predict") {
      options.predict = true;
    } else if (i + 1 == argc || !SetFlag(flag, argv[++i], options)) {
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
  options.spec = longspan::bench::LinearLlama();
  if (!longspan::bench::Parse(argc, argv, options)) return Usage(2);
  return longspan::bench::Main(options);
}
