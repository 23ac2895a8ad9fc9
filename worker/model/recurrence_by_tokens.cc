#include "worker/model/recurrence_by_tokens.h"

#include <algorithm>
#include <initializer_list>
#include <memory>

#include "common/base/status_macros.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/row_exchange_plan.h"

namespace longspan::worker {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
using kernels::LinearAttentionDecay;
using kernels::LinearAttentionGradients;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionStage;
using kernels::TensorView;

namespace {

LinearAttentionInputs PartOf(const LinearAttentionInputs& inputs,
                             const ShardPart& part) {
  LinearAttentionInputs of_part = inputs;
  of_part.q = part.Of(inputs.q);
  of_part.k = part.Of(inputs.k);
  of_part.v = part.Of(inputs.v);
  of_part.log_gate = part.Of(inputs.log_gate);
  of_part.beta = part.Of(inputs.beta);
  of_part.documents = part.documents();
  return of_part;
}

LinearAttentionGradients PartOf(const LinearAttentionGradients& d_inputs,
                                const ShardPart& part) {
  return {.d_q = part.Of(d_inputs.d_q),
          .d_k = part.Of(d_inputs.d_k),
          .d_v = part.Of(d_inputs.d_v),
          .d_log_gate = part.Of(d_inputs.d_log_gate),
          .d_beta = part.Of(d_inputs.d_beta)};
}

bool IsFirst(const ShardPart& part) { return part.index == 0; }
bool IsLast(const ShardPart& part, const LayerPass& pass) {
  return part.index == pass.shard->filled_parts() - 1;
}

}  // namespace

MemoryShape RecurrenceByTokens::Memory(const LayerPass& pass) const {
  return {pass.shard->batch(), parts_.heads, parts_.form.features,
          parts_.form.columns, DecayKind(parts_.form)};
}

TensorView RecurrenceByTokens::AllocateState(const char* name,
                                             const RankContext& context,
                                             const LayerPass& pass) const {
  return context.arena->Allocate(name, context.accumulator(),
                                 {pass.shard->batch(), parts_.heads,
                                  parts_.form.features, parts_.form.columns});
}

TensorView RecurrenceByTokens::AllocateStates(const char* name,
                                              const RankContext& context,
                                              const LayerPass& pass) const {
  return context.arena->Allocate(
      name, context.accumulator(),
      {pass.shard->part_count(), pass.shard->batch(), parts_.heads,
       parts_.form.features, parts_.form.columns});
}

void RecurrenceByTokens::AllocateTape(const RankContext& context,
                                      const LayerPass& pass,
                                      LinearAttentionTape& tape) const {
  tape.entering = AllocateStates("entering", context, pass);
  tape.decays = AllocateDecays(context, pass);
}

TensorView RecurrenceByTokens::AllocateDecays(const RankContext& context,
                                              const LayerPass& pass) const {
  const auto allocate = [&](std::initializer_list<int64_t> shape) {
    return context.arena->Allocate("decays", context.accumulator(), shape);
  };
  const int64_t parts =
      KeepsAllDecays(context.method) ? pass.shard->filled_parts() : 1;
  const int64_t batch = pass.shard->batch();
  const int64_t features = parts_.form.features;
  switch (DecayKind(parts_.form)) {
    case LinearAttentionDecay::kMatrix:
      return allocate({parts, batch, parts_.heads, features, features});
    case LinearAttentionDecay::kChannel:
      return allocate({parts, batch, parts_.heads, features});
    default:
      return allocate({parts, batch, parts_.heads});
  }
}

TensorView RecurrenceByTokens::AllocateExchange(const RankContext& context,
                                                const LayerPass& pass,
                                                Direction direction) const {
  const MemoryShape m = Memory(pass);
  const StateExchangeShape shape = {m.batch * m.heads, m.state_count(),
                                    m.decay_count(), travels(),
                                    context.state_gather};
  return context.arena->Allocate(
      "exchange", context.accumulator(),
      {StateExchangeScratch(context.method, shape, pass.shard->filled_parts(),
                            direction == Direction::kForward)});
}

RangeRows RecurrenceByTokens::RowsOf(const RankContext& context,
                                     const LayerPass& pass,
                                     const LinearAttentionInputs& inputs,
                                     ConstTensorView d_o, Direction direction,
                                     TensorView workspace) const {
  if (!RowsTravel(context.method)) return RangeRows();
  const RowWidths widths =
      SummaryRows(parts_.form, parts_.heads, parts_.key_heads,
                  direction == Direction::kForward);
  const TensorView parcels = context.arena->AllocateWorkspace(
      "parcels", RowParcelBytes(pass.shard->ranges(), pass.shard->batch(),
                                widths, context.element_bytes()));
  return {pass.shard, inputs, d_o, parcels, workspace};
}

// ---- Forward ---------------------------------------------------------------

absl::Status RecurrenceByTokens::Forward(const RankContext& context,
                                         const LayerPass& pass,
                                         LayerState* state,
                                         const LinearAttentionInputs& inputs,
                                         const LinearAttentionTape& tape,
                                         TensorView o) const {
  kernels::LinearAttention& op = context.backend->linear_attention();
  kernels::Stream& stream = *context.stream;
  const TensorView entering = state == nullptr ? TensorView() : state->memory;
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace",
      std::max(
          PartWorkspaceBytes(context, pass, LinearAttentionStage::kOutputs),
          SummaryWorkspaceBytes(context, pass,
                                LinearAttentionStage::kSummarise)));
  const StateExchangeOperands operands = {
      .decays = tape.decays,
      .decays_travel = travels(),
      .initial = entering,
      .state = tape.entering,
      .leaving = state == nullptr ? TensorView()
                                  : AllocateState("leaving", context, pass),
      .scratch = AllocateExchange(context, pass, Direction::kForward),
      .rows = RowsOf(context, pass, inputs, ConstTensorView(),
                     Direction::kForward, workspace)};

  // What each part does to an incoming state, on its way to the other ranks.
  const std::unique_ptr<StateExchange> exchange = CreateStateExchange(
      context, parts_.layer, Direction::kForward, Memory(pass), operands);
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  for (int i = 0; i < pass.shard->part_count(); ++i) {
    kernels::LinearAttentionSummary summary = {.state = exchange->own_state(i)};
    if (summary.state.is_null()) continue;
    (parts_.form.delta ? summary.transition : summary.log_decay) =
        exchange->own_decay(i);
    RETURN_IF_ERROR(op.Summarise(PartOf(inputs, pass.shard->parts()[i]),
                                 summary, workspace, stream));
  }
  RETURN_IF_ERROR(exchange->Start());

  RETURN_IF_ERROR(KnowDecays(context, pass, tape));
  RETURN_IF_ERROR(WorkAlone(context, pass, inputs, entering, o, workspace));

  RETURN_IF_ERROR(exchange->Finish());
  RETURN_IF_ERROR(AddStates(context, pass, inputs, tape, o, workspace));
  if (state == nullptr) return absl::OkStatus();
  return context.backend->elementwise().Copy(operands.leaving, state->memory,
                                             stream);
}

absl::Status RecurrenceByTokens::WorkAlone(const RankContext& context,
                                           const LayerPass& pass,
                                           const LinearAttentionInputs& inputs,
                                           ConstTensorView entering,
                                           TensorView o,
                                           TensorView workspace) const {
  for (const ShardPart& part : pass.shard->parts()) {
    const bool first = IsFirst(part);
    RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
        PartOf(inputs, part), first ? entering : ConstTensorView(),
        first ? ChunkTerms::kAll : ChunkTerms::kIntraChunk,
        {part.Of(o), TensorView()}, workspace, *context.stream));
  }
  return absl::OkStatus();
}

absl::Status RecurrenceByTokens::AddStates(const RankContext& context,
                                           const LayerPass& pass,
                                           const LinearAttentionInputs& inputs,
                                           const LinearAttentionTape& tape,
                                           TensorView o,
                                           TensorView workspace) const {
  for (int i = 0; i < pass.shard->part_count(); ++i) {
    const ShardPart& part = pass.shard->parts()[i];
    if (IsFirst(part)) continue;
    RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
        PartOf(inputs, part), tape.entering.Select(0, i),
        ChunkTerms::kInterChunk, {part.Of(o), TensorView()}, workspace,
        *context.stream));
  }
  return absl::OkStatus();
}

// The decays of all parts, where they do not depend on the tokens.
absl::Status RecurrenceByTokens::KnowDecays(
    const RankContext& context, const LayerPass& pass,
    const LinearAttentionTape& tape) const {
  if (travels() || !KeepsAllDecays(context.method)) return absl::OkStatus();
  std::vector<double> decays(tape.decays.element_count());
  FillConstantDecays(*pass.shard, parts_.log_decays,
                     TensorView(decays.data(), kernels::DType::kF64,
                                {tape.decays.element_count()}));
  return context.transfer().UploadNumbers(decays, tape.decays);
}

// ---- Backward --------------------------------------------------------------

absl::Status RecurrenceByTokens::Backward(
    const RankContext& context, const LayerPass& pass,
    const LinearAttentionInputs& inputs, const LinearAttentionTape& tape,
    TensorView d_o, const LinearAttentionGradients& d_inputs,
    TensorView workspace) const {
  kernels::LinearAttention& op = context.backend->linear_attention();
  kernels::Stream& stream = *context.stream;
  const StateExchangeOperands operands = {
      .decays = tape.decays,
      .state = AllocateStates("d_leaving", context, pass),
      .scratch = AllocateExchange(context, pass, Direction::kBackward),
      .rows =
          RowsOf(context, pass, inputs, d_o, Direction::kBackward, workspace)};
  const auto parts = pass.shard->parts();

  // What each part's outputs want of the state that entered it.
  const std::unique_ptr<StateExchange> exchange = CreateStateExchange(
      context, parts_.layer, Direction::kBackward, Memory(pass), operands);
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  for (size_t i = 0; i < parts.size(); ++i) {
    const TensorView own = exchange->own_state(static_cast<int>(i));
    if (own.is_null()) continue;
    RETURN_IF_ERROR(op.SummariseBackward(
        PartOf(inputs, parts[i]), parts[i].Of(d_o), own, workspace, stream));
  }
  RETURN_IF_ERROR(exchange->Start());

  // Meanwhile, everything that needs no other rank.
  for (size_t i = 0; i < parts.size(); ++i) {
    RETURN_IF_ERROR(op.Gradients(
        PartOf(inputs, parts[i]), tape.entering.Select(0, i),
        {parts[i].Of(d_o), ConstTensorView()},
        IsLast(parts[i], pass) ? ChunkTerms::kAll : ChunkTerms::kIntraChunk,
        PartOf(d_inputs, parts[i]), workspace, stream));
  }

  // What later parts want of the state that leaves each.
  RETURN_IF_ERROR(exchange->Finish());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (IsLast(parts[i], pass)) continue;
    RETURN_IF_ERROR(
        op.Gradients(PartOf(inputs, parts[i]), tape.entering.Select(0, i),
                     {parts[i].Of(d_o), operands.state.Select(0, i)},
                     ChunkTerms::kInterChunk, PartOf(d_inputs, parts[i]),
                     workspace, stream));
  }
  return absl::OkStatus();
}

// ---- Sizes -----------------------------------------------------------------

int64_t RecurrenceByTokens::WorkspaceBytes(const RankContext& context,
                                           const LayerPass& pass,
                                           LinearAttentionStage stage,
                                           int64_t tokens) const {
  return RecurrenceWorkspaceBytes(
      context, stage, parts_.form,
      {pass.shard->batch(), tokens, parts_.heads, parts_.key_heads});
}

int64_t RecurrenceByTokens::PartWorkspaceBytes(
    const RankContext& context, const LayerPass& pass,
    LinearAttentionStage stage) const {
  int64_t bytes = 0;
  for (const ShardPart& part : pass.shard->parts()) {
    bytes = std::max(bytes,
                     WorkspaceBytes(context, pass, stage, part.range.size()));
  }
  return bytes;
}

int64_t RecurrenceByTokens::SummaryWorkspaceBytes(
    const RankContext& context, const LayerPass& pass,
    LinearAttentionStage stage) const {
  return RowsTravel(context.method)
             ? WorkspaceBytes(context, pass, stage,
                              LongestRange(pass.shard->ranges()))
             : PartWorkspaceBytes(context, pass, stage);
}

int64_t RecurrenceByTokens::BackwardWorkspaceBytes(
    const RankContext& context, const LayerPass& pass) const {
  using Stage = LinearAttentionStage;
  int64_t bytes =
      std::max(PartWorkspaceBytes(context, pass, Stage::kGradients),
               SummaryWorkspaceBytes(context, pass, Stage::kSummariseBackward));
  if (RowsTravel(context.method)) {
    bytes = std::max(bytes,
                     SummaryWorkspaceBytes(context, pass, Stage::kSummarise));
  }
  return bytes;
}

}  // namespace longspan::worker
