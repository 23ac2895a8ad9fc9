#include "bench/model/model_bench.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "worker/generate/decoder.h"
#include "worker/model/model.h"
#include "worker/model/model_state.h"
#include "worker/train/train_step.h"

namespace longspan::bench {
namespace {

using Clock = std::chrono::steady_clock;
using kernels::DType;

constexpr int kUncountedSteps = 2;
constexpr int kUncountedTokens = 8;
constexpr int64_t kPatternElements = int64_t{1} << 20;

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin)
      .count();
}

std::vector<int32_t> RandomTokens(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens(count);
  for (int64_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<int32_t>(
        RandomBelow({1, RandomPurpose::kTest, 1}, i, vocabulary));
  }
  return tokens;
}

// Normal numbers that repeat, ones for norms: Parameters::Initialize draws
// every one of them, which takes a minute on a large model.
absl::Status FillParameters(const worker::Parameters& parameters) {
  std::vector<double> pattern(kPatternElements);
  for (int64_t i = 0; i < kPatternElements; ++i) {
    pattern[i] = 0.02 * RandomNormal({2, RandomPurpose::kTest, 2}, i);
  }
  const std::vector<double> ones(kPatternElements, 1.0);
  for (const ParameterInfo& info : parameters.layout().parameters) {
    if (info.initial == InitialValue::kZero) continue;
    const auto& from = info.initial == InitialValue::kOne ? ones : pattern;
    for (int64_t done = 0; done < info.count; done += kPatternElements) {
      const int64_t count = std::min(kPatternElements, info.count - done);
      RETURN_IF_ERROR(parameters.transfer().UploadNumbers(
          absl::MakeConstSpan(from).subspan(0, count),
          parameters.values().Slice(0, info.offset + done,
                                    info.offset + done + count)));
    }
  }
  return parameters.RefreshCompute();
}

DType TypeOf(kernels::BackendKind kind) {
  return kind == kernels::BackendKind::kCuda ? DType::kBF16 : DType::kF32;
}

worker::RankContext ContextOf(kernels::Backend& backend,
                              kernels::Stream& stream,
                              kernels::BackendKind kind, worker::Arena* arena) {
  worker::RankContext context;
  context.backend = &backend;
  context.stream = &stream;
  context.arena = arena;
  context.dtype = TypeOf(kind);
  context.backend_kind = kind;
  return context;
}

RunShape ShapeOf(RunMode mode, kernels::BackendKind kind, int64_t tokens) {
  RunShape shape;
  shape.mode = mode;
  shape.ranges = {{0, tokens}};
  shape.element_bytes = kernels::BytesPerElement(TypeOf(kind));
  shape.backend = kind;
  return shape;
}

}  // namespace

int64_t PlannedTrainBytes(const ModelSpec& spec, kernels::BackendKind kind,
                          int64_t tokens) {
  return PlanMemory(spec, ShapeOf(RunMode::kTrain, kind, tokens)).total_bytes();
}

ModelBench::ModelBench(const ModelSpec& spec, kernels::BackendKind kind,
                       std::unique_ptr<kernels::Backend> backend)
    : spec_(spec), kind_(kind), backend_(std::move(backend)) {
  auto stream = backend_->CreateStream(1);
  LONGSPAN_CHECK_OK(stream.status());
  stream_ = *std::move(stream);
}

ModelBench::~ModelBench() = default;

int64_t ModelBench::DeviceBytes() const {
  return backend_->memory().total_bytes();
}

absl::Status ModelBench::MakeModel() {
  if (model_ != nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      parameters_,
      worker::Parameters::Create(ContextOf(*backend_, *stream_, kind_, nullptr),
                                 spec_, true));
  RETURN_IF_ERROR(FillParameters(*parameters_));
  model_ = std::make_unique<worker::Model>(spec_, *parameters_);
  return absl::OkStatus();
}

absl::StatusOr<double> ModelBench::TrainStepMs(int64_t tokens, int steps) {
  RETURN_IF_ERROR(MakeModel());
  const RunShape shape = ShapeOf(RunMode::kTrain, kind_, tokens);
  ASSIGN_OR_RETURN(worker::Arena arena,
                   worker::Arena::Create(backend_->memory(),
                                         PlanMemory(spec_, shape).arena_bytes));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<worker::TrainStep> step,
      worker::TrainStep::Create(ContextOf(*backend_, *stream_, kind_, &arena),
                                model_.get(), parameters_.get(), {}));
  ASSIGN_OR_RETURN(const worker::SequenceShard shard,
                   worker::SequenceShard::Split({.tokens = tokens}, 1, 0));
  const std::vector<int32_t> text =
      RandomTokens(tokens + 1, spec_.vocabulary_size);
  const worker::TrainBatch batch = {
      &shard, kernels::ConstTensorView(text.data(), DType::kI32, {tokens}),
      kernels::ConstTensorView(text.data() + 1, DType::kI32, {tokens}), tokens};
  std::vector<double> ms;
  for (int i = 0; i < kUncountedSteps + steps; ++i) {
    const Clock::time_point begin = Clock::now();
    RETURN_IF_ERROR(step->Run(batch, 1e-4).status());
    if (i >= kUncountedSteps) ms.push_back(MillisecondsSince(begin));
  }
  std::nth_element(ms.begin(), ms.begin() + ms.size() / 2, ms.end());
  return ms[ms.size() / 2];
}

absl::StatusOr<double> ModelBench::TokenMs(int64_t context, int count) {
  const int64_t tokens = context + kUncountedTokens + count;
  RunShape shape = ShapeOf(RunMode::kGenerate, kind_, 1);
  shape.carries_state = true;
  shape.context_tokens = tokens;
  RETURN_IF_ERROR(MakeModel());
  ASSIGN_OR_RETURN(worker::Arena arena,
                   worker::Arena::Create(backend_->memory(),
                                         PlanMemory(spec_, shape).arena_bytes));
  const worker::RankContext rank =
      ContextOf(*backend_, *stream_, kind_, &arena);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<worker::ModelState> state,
      worker::ModelState::Create(rank, spec_, {.context_tokens = tokens}));
  state->set_position(context);
  ASSIGN_OR_RETURN(worker::Sampler sampler,
                   worker::Sampler::Create(rank, {.temperature = 0.0}));
  worker::Decoder decoder(*model_, rank, *state, std::move(sampler));
  int32_t token = 0;
  const auto step = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const worker::SampledToken sampled, decoder.Step(token));
    token = sampled.id;
    return absl::OkStatus();
  };
  for (int i = 0; i < kUncountedTokens; ++i) RETURN_IF_ERROR(step());
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < count; ++i) RETURN_IF_ERROR(step());
  return MillisecondsSince(begin) / count;
}

}  // namespace longspan::bench
