// Times training steps and generated tokens of one model on one device, each
// beside its prediction. One line of JSON each.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

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
  double peak = 989e12;  // of the data sheet, dense bf16: what MFU divides by
  Device device;
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
  double predicted_ms;
  double planned_gb;
};

// ms is null where nothing was measured; mfu where it has no meaning.
void Print(const Row& row, const double* ms, const double* mfu,
           const std::string& note) {
  std::printf(
      "{\"what\": \"%s\", \"tokens\": %lld, \"planned_gb\": %.2f, "
      "\"predicted_ms\": %.4f, \"predicted_tokens_per_second\": %.1f",
      row.what, static_cast<long long>(row.tokens), row.planned_gb,
      row.predicted_ms, 1e3 * row.per_step / row.predicted_ms);
  if (ms != nullptr) {
    std::printf(", \"ms\": %.4f, \"tokens_per_second\": %.1f", *ms,
                1e3 * row.per_step / *ms);
  }
  if (mfu != nullptr) std::printf(", \"mfu\": %.4f", *mfu);
  std::printf(", \"note\": \"%s\"}\n", note.c_str());
  std::fflush(stdout);
}

// What JSON would have to escape does not occur in our messages but quotes.
std::string Plain(std::string text) {
  std::replace(text.begin(), text.end(), '"', '\'');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

double Mfu(const Options& options, int64_t tokens, double ms) {
  return TrainFlopsPerToken(options.spec, tokens) * tokens /
         (1e-3 * ms * options.peak);
}

void Train(ModelBench* bench, const Options& options, int64_t tokens) {
  Row row = {"train", tokens, static_cast<double>(tokens),
             PredictTrainStep(options.spec, tokens, options.device).total_ms(),
             0.0};
  const int64_t planned =
      PlannedTrainBytes(options.spec, options.backend, tokens);
  row.planned_gb = 1e-9 * static_cast<double>(planned);
  if (bench == nullptr) {
    const double mfu = Mfu(options, tokens, row.predicted_ms);
    return Print(row, nullptr, &mfu, "prediction");
  }
  const int64_t there = bench->DeviceBytes();
  if (there > 0 && planned > kernels::cuda::PlannableBytes(there, 1)) {
    return Print(row, nullptr, nullptr, "does not fit this device");
  }
  const auto ms = bench->TrainStepMs(tokens, options.steps);
  if (!ms.ok()) {
    return Print(row, nullptr, nullptr,
                 Plain(std::string(ms.status().message())));
  }
  const double mfu = Mfu(options, tokens, *ms);
  Print(row, &*ms, &mfu, "");
}

void Generate(ModelBench* bench, const Options& options) {
  const Row row = {"generate", options.new_tokens, 1.0,
                   PredictTokenMs(options.spec, kContext, options.device), 0.0};
  if (bench == nullptr) return Print(row, nullptr, nullptr, "prediction");
  const auto ms = bench->TokenMs(kContext, options.new_tokens);
  if (!ms.ok()) {
    return Print(row, nullptr, nullptr,
                 Plain(std::string(ms.status().message())));
  }
  Print(row, &*ms, nullptr, "");
}

int Main(Options options) {
  options.spec = ResolveDefaults(options.spec);
  for (const SpecMistake& mistake : Validate(options.spec)) {
    std::fprintf(stderr, "longspan-bench-model: %s: %s\n", mistake.path.c_str(),
                 mistake.message.c_str());
    return 2;
  }
  std::unique_ptr<ModelBench> bench;
  if (!options.predict) {
    auto backend = kernels::CreateBackend(options.backend);
    if (!backend.ok()) {
      std::fprintf(stderr, "longspan-bench-model: %s\n",
                   std::string(backend.status().message()).c_str());
      return kNoGpu;
    }
    bench = std::make_unique<ModelBench>(options.spec, options.backend,
                                         *std::move(backend));
  }
  std::fprintf(stderr, "%.3f G parameters\n",
               1e-9 * static_cast<double>(ParameterCount(options.spec)));
  Generate(bench.get(), options);
  for (int64_t tokens : options.lengths) Train(bench.get(), options, tokens);
  return 0;
}

int Usage(int code) {
  std::printf(
      "longspan-bench-model [--backend cuda|cpu] [--predict]\n"
      "    [--lengths N,N,...] [--steps N] [--new-tokens N]\n"
      "    [--hidden N] [--layers N] [--vocabulary N]\n"
      "    [--bandwidth B/s] [--matrix-rate FLOP/s] [--peak FLOP/s]\n"
      "Training steps of one sequence of each length, and generated tokens, "
      "of\n"
      "Linear-Llama3 with 1.36 G parameters or the given sizes. --predict\n"
      "measures nothing. Exit status 77: the backend is not available here.\n");
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
  } else if (flag == "--bandwidth") {
    options.device.bytes_per_second = std::atof(value.c_str());
  } else if (flag == "--matrix-rate") {
    options.device.operations_per_second = std::atof(value.c_str());
  } else if (flag == "--peak") {
    options.peak = std::atof(value.c_str());
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
