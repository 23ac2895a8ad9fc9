#include "cli/simulate_request.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/units.h"
#include "common/job_spec/layout_from_proto.h"
#include "common/job_spec/model_spec_from_proto.h"
#include "common/job_spec/parse_job_spec.h"
#include "common/job_spec/sequence_parallel_from_proto.h"
#include "common/simulate/model_preset.h"
#include "longspan/v1/job.pb.h"

namespace longspan::cli {
namespace {

absl::Status FlagError(const std::string& flag, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", what));
}

absl::StatusOr<int64_t> ReadCount(const std::string& flag,
                                  const std::string& text) {
  constexpr std::pair<const char*, int> kSuffixes[] = {
      {"Ki", 10}, {"Mi", 20}, {"Gi", 30}};
  std::string digits = text;
  int shift = 0;
  for (const auto& [suffix, bits] : kSuffixes) {
    if (text.size() > 2 && text.substr(text.size() - 2) == suffix) {
      digits = text.substr(0, text.size() - 2);
      shift = bits;
    }
  }
  int64_t count = 0;
  if (!absl::SimpleAtoi(digits, &count) || count < 1 ||
      count > (int64_t{1} << 40) >> shift) {
    return FlagError(flag, absl::StrCat("'", text,
                                        "' is not a count from 1 to 1024Gi; "
                                        "write 4096, 16Ki or 1Mi"));
  }
  return count << shift;
}

absl::Status AppendDoubling(const std::string& flag, int64_t first,
                            int64_t last, std::vector<int64_t>& counts) {
  if (first > last) {
    return FlagError(flag, absl::StrCat(first, "..", last,
                                        " goes down; name the smaller first"));
  }
  for (int64_t count = first; count <= last; count *= 2) {
    counts.push_back(count);
  }
  return absl::OkStatus();
}

absl::Status AppendCounts(const std::string& flag, const std::string& part,
                          std::vector<int64_t>& counts) {
  const size_t dots = part.find("..");
  ASSIGN_OR_RETURN(const int64_t first, ReadCount(flag, part.substr(0, dots)));
  if (dots == std::string::npos) {
    counts.push_back(first);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const int64_t last, ReadCount(flag, part.substr(dots + 2)));
  return AppendDoubling(flag, first, last, counts);
}

// ---- The model, and what a job says besides.

absl::StatusOr<v1::JobSpec> ReadJob(const std::string& file,
                                    const std::string& text) {
  v1::JobSpec job;
  const std::vector<SpecViolation> violations = ParseJobSpec(text, file, &job);
  if (!violations.empty()) {
    return absl::InvalidArgumentError(FormatViolations(file, violations));
  }
  if (!job.has_train()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": simulate takes a train job, whose model is in the file"));
  }
  return job;
}

int64_t BytesOf(v1::Precision precision, const std::string& backend) {
  if (precision == v1::BF16) return 2;
  if (precision == v1::F64) return 8;
  return precision == v1::F32 || backend != "cuda" ? 4 : 2;
}

absl::Status ReadFromJob(const std::string& file, const std::string& text,
                         SweepRequest& request) {
  ASSIGN_OR_RETURN(const v1::JobSpec job, ReadJob(file, text));
  const v1::TrainSpec& train = job.train();
  if (train.data_parallel() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": data_parallel is ", train.data_parallel(),
        ", and simulate takes the ranks of one replica: set it to 1, and ranks "
        "and batch_size to those of a replica"));
  }
  request.model = ResolveDefaults(ModelSpecFromProto(train.model()));
  request.tokens = {train.sequence_length()};
  request.ranks = {job.resources().ranks()};
  request.shape.batch = train.batch_size();
  const std::string& backend = job.resources().backend();
  request.shape.element_bytes = BytesOf(train.precision(), backend);
  ASSIGN_OR_RETURN(request.shape.softmax,
                   SoftmaxParallelFromProto(train.softmax_sequence_parallel()));
  ASSIGN_OR_RETURN(request.shape.layout, LayoutFromProto(train.layout()));
  request.shape.state_gather = GatherSettingsFromProto(train);
  request.shape.backend = backend == "cuda" ? kernels::BackendKind::kCuda
                                            : kernels::BackendKind::kCpu;
  return absl::OkStatus();
}

absl::Status ReadModel(const SimulateOptions& options,
                       const std::string& job_text, SweepRequest& request) {
  if (options.file.empty() == options.preset.empty()) {
    return absl::InvalidArgumentError(
        "name a job file or --preset, one of both");
  }
  if (!options.file.empty()) {
    return ReadFromJob(options.file, job_text, request);
  }
  ASSIGN_OR_RETURN(request.model, ModelPreset(options.preset));
  request.shape.layout = std::nullopt;
  if (options.tokens.empty() || options.ranks.empty()) {
    return absl::InvalidArgumentError(
        "a preset needs --tokens and --ranks, such as --tokens 16Ki..4Mi "
        "--ranks 1..1024");
  }
  return absl::OkStatus();
}

// ---- The flags.

absl::Status ReadShape(const SimulateOptions& options, SweepRequest& request) {
  SimulationShape& shape = request.shape;
  if (options.batch > 0) shape.batch = options.batch;
  if (options.precision == "bf16") shape.element_bytes = 2;
  if (options.precision == "f32") shape.element_bytes = 4;
  if (options.precision == "f64") shape.element_bytes = 8;
  if (options.softmax == "gather") shape.softmax = SoftmaxParallel::kGather;
  if (options.softmax == "ring") shape.softmax = SoftmaxParallel::kRing;
  if (options.softmax == "ulysses") shape.softmax = SoftmaxParallel::kUlysses;
  if (options.softmax == "megatron_sp") {
    shape.softmax = SoftmaxParallel::kMegatronSp;
  }
  shape.overlap = options.overlap;
  if (options.layout == "auto") shape.layout = std::nullopt;
  if (options.layout == "contiguous") shape.layout = TokenLayout::kContiguous;
  if (options.layout == "zigzag") shape.layout = TokenLayout::kZigzag;
  shape.train = !options.forward_only;
  if (!options.tokens.empty()) {
    ASSIGN_OR_RETURN(request.tokens, ReadCounts("tokens", options.tokens));
  }
  if (options.ranks.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<int64_t> ranks,
                   ReadCounts("ranks", options.ranks));
  if (ranks.back() > 65536) {
    return FlagError(
        "ranks", absl::StrCat(ranks.back(), ": at most 65536 are simulated"));
  }
  request.ranks.assign(ranks.begin(), ranks.end());
  return absl::OkStatus();
}

absl::Status ReadMethods(const std::vector<std::string>& names,
                         SweepRequest& request) {
  for (const std::string& name : names) {
    absl::StatusOr<ExchangeMethod> method = ExchangeMethodOfName(name);
    if (!method.ok()) {
      return FlagError("method", std::string(method.status().message()));
    }
    request.methods.push_back(*method);
  }
  if (names.empty()) request.methods = AllExchangeMethods();
  return absl::OkStatus();
}

absl::Status ReadMachine(const SimulateOptions& options,
                         SweepRequest& request) {
  absl::StatusOr<std::vector<NetworkLevel>> levels =
      ParseNetworkLevels(options.levels);
  if (!levels.ok()) {
    return FlagError("levels", std::string(levels.status().message()));
  }
  request.network.levels = *std::move(levels);
  const bool ring = options.collective.empty() ? options.calibrate.empty()
                                               : options.collective == "ring";
  request.network.algorithm =
      ring ? CollectiveAlgorithm::kRing : CollectiveAlgorithm::kDirect;
  request.compute = {options.flops_per_s, options.fixed_seconds};
  absl::StatusOr<int64_t> memory = ParseBytes(options.device_memory);
  if (!memory.ok()) {
    return FlagError("device-memory", std::string(memory.status().message()));
  }
  request.device_memory_bytes = *memory;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ReadCounts(const std::string& flag,
                                                const std::string& text) {
  std::vector<int64_t> counts;
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  for (const std::string& part : parts) {
    RETURN_IF_ERROR(AppendCounts(flag, part, counts));
  }
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

absl::StatusOr<SweepRequest> ReadSweepRequest(const SimulateOptions& options,
                                              const std::string& job_text) {
  SweepRequest request;
  RETURN_IF_ERROR(ReadModel(options, job_text, request));
  RETURN_IF_ERROR(ReadShape(options, request));
  RETURN_IF_ERROR(ReadMethods(options.methods, request));
  RETURN_IF_ERROR(ReadMachine(options, request));
  return request;
}

}  // namespace longspan::cli
