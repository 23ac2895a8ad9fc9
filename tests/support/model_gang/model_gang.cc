#include "tests/support/model_gang/model_gang.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "kernels/select/backend_registry.h"
#include "tests/support/thread_world.h"
#include "worker/parallel/gradient_sync.h"

namespace longspan::testing {
namespace {

using kernels::DType;
using kernels::TensorView;

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  LONGSPAN_CHECK_OK(value);
  return *std::move(value);
}

// Puts local rows [B, n, width] into their places among [B, N, width].
void Place(const std::vector<double>& local, const GangCase& c,
           const worker::SequenceShard& shard, std::vector<double>& all) {
  const int64_t width = static_cast<int64_t>(local.size()) / shard.rows();
  for (int64_t b = 0; b < c.batch; ++b) {
    for (const worker::ShardPart& part : shard.parts()) {
      const int64_t row = b * shard.tokens() + part.first_row;
      std::copy_n(local.begin() + row * width, part.range.size() * width,
                  all.begin() + (b * c.tokens + part.range.begin) * width);
    }
  }
}

absl::Status RunRank(const GangCase& c, worker::ProcessGroup& group,
                     GangResult& result) {
  const std::vector<TokenRange> ranges = RangesOf(c, group.size());
  RankReport& report = result.ranks[group.rank()];
  report.plan =
      PlanMemory(c.spec, ShapeOf(c, RunMode::kTrain, ranges, group.rank()));
  RankFixture rank(c, &group, report.plan.arena_bytes, true);
  rank.arena().StartRecording();

  ASSIGN_OR_RETURN(
      const worker::SequenceShard shard,
      worker::SequenceShard::Create({.batch = c.batch,
                                     .tokens = c.tokens,
                                     .document_starts = c.document_starts},
                                    ranges, group.rank(),
                                    LayoutOver(group.size(), c.layout)));
  std::vector<int32_t> ids = LocalRows(c.ids, shard);
  std::vector<int32_t> targets = LocalRows(c.targets, shard);
  const worker::ModelInput input = {
      TensorView(ids.data(), DType::kI32, {shard.rows()}), &shard};
  worker::ModelTape tape;
  RETURN_IF_ERROR(rank.model().ForwardKeepingTape(rank.context(), input, tape));
  const std::vector<double> hidden = ToDoubles(tape.hidden);
  float scale = 1.0f;
  double loss = 0;
  RETURN_IF_ERROR(rank.model().head().LossAndGradient(
      rank.context(),
      {tape.hidden, TensorView(targets.data(), DType::kI32, {shard.rows()}),
       TensorView()},
      TensorView(&scale, DType::kF32, {1}), TensorView(&loss, DType::kF64, {1}),
      tape.d_hidden));
  ASSIGN_OR_RETURN(const TensorView d_embedding,
                   rank.model().Backward(rank.context(), input, tape));
  Place(hidden, c, shard, result.hidden);
  Place(ToDoubles(d_embedding), c, shard, result.d_embedding);
  RETURN_IF_ERROR(worker::SyncGradients(
      rank.context(), rank.parameters().gradients_and_tail()));
  report.counters = group.counters();
  RETURN_IF_ERROR(worker::SumOverRanks(rank.context(),
                                       TensorView(&loss, DType::kF64, {1})));
  report.allocations = rank.arena().recording();
  report.arena_high_water = rank.arena().high_water();
  if (group.rank() == 0) {
    result.loss = loss;
    result.gradients = ToDoubles(rank.parameters().gradients());
  }
  return absl::OkStatus();
}

}  // namespace

GangCase MakeGangCase(const ModelSpec& spec, int64_t batch, int64_t tokens) {
  GangCase c;
  c.spec = spec;
  c.batch = batch;
  c.tokens = tokens;
  const RandomKey key = {11, RandomPurpose::kTest, 1};
  for (int64_t i = 0; i < batch * tokens; ++i) {
    c.ids.push_back(
        static_cast<int32_t>(RandomBelow(key, 2 * i, spec.vocabulary_size)));
    const auto target =
        static_cast<int32_t>(RandomBelow(key, 2 * i + 1, spec.vocabulary_size));
    c.targets.push_back(i % 13 == 5 ? -1 : target);
  }
  return c;
}

std::vector<TokenRange> RangesOf(const GangCase& c, int ranks) {
  if (!c.ranges.empty()) return c.ranges;
  return ValueOrDie(CutTokens(LayoutOver(ranks, c.layout), c.tokens, ranks));
}

RunShape ShapeOf(const GangCase& c, RunMode mode,
                 const std::vector<TokenRange>& ranges, int rank) {
  RunShape shape;
  shape.mode = mode;
  shape.batch = c.batch;
  shape.ranges = ranges;
  shape.rank = rank;
  shape.element_bytes = kernels::BytesPerElement(c.dtype);
  shape.backend = c.backend;
  shape.threads = 1;
  shape.method = c.method;
  shape.softmax_method = c.softmax_method;
  shape.state_gather = c.state_gather;
  shape.layout = ranges.size() == 1 ? TokenLayout::kContiguous : c.layout;
  return shape;
}

RankFixture::RankFixture(const GangCase& c, worker::ProcessGroup* group,
                         int64_t arena_bytes, bool with_gradients)
    : backend_(ValueOrDie(kernels::CreateBackend(c.backend))),
      stream_(ValueOrDie(backend_->CreateStream(1))),
      arena_(
          ValueOrDie(worker::Arena::Create(backend_->memory(), arena_bytes))) {
  context_.backend = backend_.get();
  context_.stream = stream_.get();
  context_.arena = &arena_;
  context_.group = group;
  context_.dtype = c.dtype;
  context_.backend_kind = c.backend;
  context_.threads = 1;
  context_.method = c.method;
  context_.softmax_method = c.softmax_method;
  context_.state_gather = c.state_gather;
  parameters_ =
      ValueOrDie(worker::Parameters::Create(context_, c.spec, with_gradients));
  LONGSPAN_CHECK_OK(parameters_->Initialize(c.seed));
  if (c.edit) c.edit(*parameters_);
  LONGSPAN_CHECK_OK(parameters_->RefreshCompute());
  model_ = std::make_unique<worker::Model>(c.spec, *parameters_);
}

worker::RankContext RankFixture::Alone() const {
  worker::RankContext alone = context_;
  alone.group = nullptr;
  return alone;
}

std::vector<double> ToDoubles(kernels::ConstTensorView view,
                              const worker::Transfer& transfer) {
  std::vector<double> values(view.element_count());
  LONGSPAN_CHECK_OK(transfer.DownloadNumbers(view, absl::MakeSpan(values)));
  return values;
}

std::vector<int32_t> LocalRows(const std::vector<int32_t>& values,
                               const worker::SequenceShard& shard) {
  std::vector<int32_t> local;
  for (int64_t b = 0; b < shard.batch(); ++b) {
    const auto row = values.begin() + b * shard.piece().tokens;
    for (const worker::ShardPart& part : shard.parts()) {
      local.insert(local.end(), row + part.range.begin, row + part.range.end);
    }
  }
  return local;
}

GangResult TrainOnce(const GangCase& c, int ranks) {
  GangResult result;
  const int64_t values = c.batch * c.tokens * c.spec.hidden_size;
  result.hidden.resize(values);
  result.d_embedding.resize(values);
  result.ranks.resize(ranks);
  LONGSPAN_CHECK_OK(RunThreadWorld(ranks, [&](worker::ProcessGroup& group) {
    return RunRank(c, group, result);
  }));
  return result;
}

}  // namespace longspan::testing
