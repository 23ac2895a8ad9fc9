#include "bench/sequence_parallel/rank_bench.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/memory_plan.h"
#include "kernels/select/backend_registry.h"
#include "worker/train/train_step.h"

namespace longspan::bench {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;
using worker::ProcessGroup;

std::vector<int32_t> RandomTokens(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens(count);
  for (int64_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<int32_t>(
        RandomBelow({1, RandomPurpose::kTest, 1}, i, vocabulary));
  }
  return tokens;
}

// What a rank knows of its own step.
struct RankTimes {
  double begin = 0;
  double end = 0;
  double exposed_layers = 0;
  double exposed = 0;
};
constexpr int64_t kRankTimes = sizeof(RankTimes) / sizeof(double);

RankTimes ExposedSoFar(const ProcessGroup& group) {
  RankTimes times;
  for (const auto& [tag, counts] : group.counters()) {
    const double seconds = absl::ToDoubleSeconds(
        counts.exposed_time.value_or(absl::ZeroDuration()));
    times.exposed += seconds;
    if (tag.traffic == worker::Traffic::kStateExchange ||
        tag.traffic == worker::Traffic::kHeadExchange ||
        tag.traffic == worker::Traffic::kRowExchange) {
      times.exposed_layers += seconds;
    }
  }
  return times;
}

absl::StatusOr<StepSample> Combine(ProcessGroup& group, RankTimes own) {
  std::vector<RankTimes> all(group.size());
  std::vector<TensorView> rows;
  rows.reserve(group.size());
  for (RankTimes& times : all) {
    rows.emplace_back(&times, DType::kF64,
                      std::initializer_list<int64_t>{kRankTimes});
  }
  RETURN_IF_ERROR(
      group
          .AllGather(ConstTensorView(&own, DType::kF64, {kRankTimes}), rows,
                     worker::TrafficTag())
          ->Wait());
  StepSample sample;
  double begin = all[0].begin;
  double end = all[0].end;
  for (const RankTimes& times : all) {
    begin = std::min(begin, times.begin);
    end = std::max(end, times.end);
    sample.exposed_layers_seconds =
        std::max(sample.exposed_layers_seconds, times.exposed_layers);
    sample.exposed_seconds = std::max(sample.exposed_seconds, times.exposed);
  }
  sample.seconds = end - begin;
  return sample;
}

// A step of every method over one network.
class NetworkSteps {
 public:
  NetworkSteps(const worker::EmulatedNetwork& network, ProcessGroup* inner,
               worker::RankClock* clock)
      : group_(worker::CreateEmulatedNetworkGroup(network, inner, clock)),
        clock_(clock) {}

  absl::Status Add(worker::RankContext context, worker::Model* model,
                   worker::Parameters* parameters) {
    context.group = group_.get();
    ASSIGN_OR_RETURN(std::unique_ptr<worker::TrainStep> step,
                     worker::TrainStep::Create(context, model, parameters, {}));
    steps_.push_back(std::move(step));
    return absl::OkStatus();
  }

  absl::StatusOr<StepSample> Run(size_t method,
                                 const worker::TrainBatch& batch) {
    RETURN_IF_ERROR(group_->Barrier());
    const RankTimes before = ExposedSoFar(*group_);
    const double begin = Now();
    RETURN_IF_ERROR(steps_[method]->Run(batch, 1e-4).status());
    RankTimes times = ExposedSoFar(*group_);
    times.begin = begin;
    times.end = Now();
    times.exposed_layers -= before.exposed_layers;
    times.exposed -= before.exposed;
    return Combine(*group_, times);
  }

 private:
  double Now() { return absl::ToDoubleSeconds(clock_->GoOn(clock_->Stop())); }

  const std::unique_ptr<ProcessGroup> group_;
  worker::RankClock* const clock_;
  std::vector<std::unique_ptr<worker::TrainStep>> steps_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RankBench>> RankBench::Create(
    const ModelSpec& spec, ProcessGroup* group, worker::RankClock* clock) {
  auto bench = absl::WrapUnique(new RankBench(spec, group, clock));
  ASSIGN_OR_RETURN(bench->backend_,
                   kernels::CreateBackend(kernels::BackendKind::kCpu));
  ASSIGN_OR_RETURN(bench->stream_, bench->backend_->CreateStream(1));
  ASSIGN_OR_RETURN(bench->whole_, bench->Build(SequenceParallel::kLasp2));
  return bench;
}

absl::StatusOr<RankBench::Built> RankBench::Build(
    SequenceParallel method) const {
  worker::RankContext context;
  context.backend = backend_.get();
  context.stream = stream_.get();
  context.group = group_;
  context.method = method;
  RETURN_IF_ERROR(CheckHeadCut(spec_, method, context.ranks()));
  Built built;
  ASSIGN_OR_RETURN(built.parameters,
                   worker::Parameters::Create(context, spec_, true));
  RETURN_IF_ERROR(built.parameters->Initialize(1));
  RETURN_IF_ERROR(built.parameters->RefreshCompute());
  built.model = std::make_unique<worker::Model>(spec_, *built.parameters);
  return built;
}

absl::StatusOr<worker::Arena> RankBench::MakeArena(
    const worker::SequenceShard& shard,
    const std::vector<SequenceParallel>& methods) {
  int64_t bytes = 0;
  RunShape shape;
  shape.mode = RunMode::kTrain;
  shape.ranges.assign(shard.ranges().begin(), shard.ranges().end());
  shape.rank = group_->rank();
  shape.element_bytes = kernels::BytesPerElement(DType::kF32);
  shape.backend = kernels::BackendKind::kCpu;
  for (const SequenceParallel method : methods) {
    shape.method = method;
    bytes = std::max(bytes, PlanMemory(spec_, shape).arena_bytes);
  }
  return worker::Arena::Create(backend_->memory(), bytes);
}

absl::StatusOr<std::vector<std::vector<std::vector<StepSample>>>>
RankBench::Measure(int64_t tokens,
                   const std::vector<worker::EmulatedNetwork>& networks,
                   const std::vector<SequenceParallel>& methods, int rounds,
                   const std::function<void()>& after_step) {
  ASSIGN_OR_RETURN(const worker::SequenceShard shard,
                   worker::SequenceShard::Split(
                       {.tokens = tokens}, group_->size(), group_->rank()));
  ASSIGN_OR_RETURN(worker::Arena arena, MakeArena(shard, methods));
  worker::RankContext context;
  context.backend = backend_.get();
  context.stream = stream_.get();
  context.arena = &arena;
  std::deque<NetworkSteps> steps;
  for (const worker::EmulatedNetwork& network : networks) {
    steps.emplace_back(network, group_, clock_);
    for (const SequenceParallel method : methods) {
      context.method = method;
      const bool cut = method == SequenceParallel::kMegatronSp;
      if (cut && cut_.model == nullptr) {
        ASSIGN_OR_RETURN(cut_, Build(method));
      }
      const Built& built = cut ? cut_ : whole_;
      RETURN_IF_ERROR(
          steps.back().Add(context, built.model.get(), built.parameters.get()));
    }
  }

  const std::vector<int32_t> text =
      RandomTokens(tokens + 1, spec_.vocabulary_size);
  const int32_t* const own = text.data() + shard.range().begin;
  const worker::TrainBatch batch = {
      &shard, ConstTensorView(own, DType::kI32, {shard.tokens()}),
      ConstTensorView(own + 1, DType::kI32, {shard.tokens()}), tokens};
  std::vector<std::vector<std::vector<StepSample>>> samples(
      networks.size(), std::vector<std::vector<StepSample>>(methods.size()));
  for (size_t m = 0; m < methods.size(); ++m) {
    RETURN_IF_ERROR(steps[0].Run(m, batch).status());
    after_step();
  }
  for (int round = 0; round < rounds; ++round) {
    for (size_t n = 0; n < networks.size(); ++n) {
      for (size_t m = 0; m < methods.size(); ++m) {
        ASSIGN_OR_RETURN(samples[n][m].emplace_back(), steps[n].Run(m, batch));
        after_step();
      }
    }
  }
  return samples;
}

}  // namespace longspan::bench
