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

void RecurrenceByTokens::AllocateTape(const RankContext& context,
                                      const LayerPass& pass,
                                      LinearAttentionTape& tape) const {
  tape.entering = AllocateState("entering", context, pass);
  tape.decays = AllocateDecays(context, pass);
}

TensorView RecurrenceByTokens::AllocateDecays(const RankContext& context,
                                              const LayerPass& pass) const {
  const auto allocate = [&](std::initializer_list<int64_t> shape) {
    return context.arena->Allocate("decays", context.accumulator(), shape);
  };
  const int64_t ranks = KeepsAllDecays(context.method) ? context.ranks() : 1;
  const int64_t batch = pass.shard->batch();
  const int64_t features = parts_.form.features;
  switch (DecayKind(parts_.form)) {
    case LinearAttentionDecay::kMatrix:
      return allocate({ranks, batch, parts_.heads, features, features});
    case LinearAttentionDecay::kChannel:
      return allocate({ranks, batch, parts_.heads, features});
    default:
      return allocate({ranks, batch, parts_.heads});
  }
}

TensorView RecurrenceByTokens::AllocateExchange(const RankContext& context,
                                                const LayerPass& pass,
                                                Direction direction) const {
  const MemoryShape m = Memory(pass);
  const StateExchangeShape shape = {m.batch * m.heads, m.state_count(),
                                    m.decay_count(), travels()};
  return context.arena->Allocate(
      "exchange", context.accumulator(),
      {StateExchangeScratch(context.method, shape, context.ranks(),
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
      std::max(WorkspaceBytes(context, pass, LinearAttentionStage::kOutputs,
                              pass.shard->tokens()),
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
  const bool first = context.rank() == 0;

  // What this range does to an incoming state, on its way to the other ranks.
  const std::unique_ptr<StateExchange> exchange = CreateStateExchange(
      context, parts_.layer, Direction::kForward, Memory(pass), operands);
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  kernels::LinearAttentionSummary summary = {.state = exchange->own_state()};
  if (!summary.state.is_null()) {
    (parts_.form.delta ? summary.transition : summary.log_decay) =
        exchange->own_decay();
    RETURN_IF_ERROR(op.Summarise(inputs, summary, workspace, stream));
  }
  RETURN_IF_ERROR(exchange->Start());

  // Meanwhile, everything that needs no other rank.
  RETURN_IF_ERROR(KnowDecays(context, pass, tape));
  RETURN_IF_ERROR(op.Outputs(inputs, first ? entering : TensorView(),
                             first ? ChunkTerms::kAll : ChunkTerms::kIntraChunk,
                             {o, TensorView()}, workspace, stream));

  // The state that enters this rank, and what it adds.
  RETURN_IF_ERROR(exchange->Finish());
  if (!first) {
    RETURN_IF_ERROR(op.Outputs(inputs, tape.entering, ChunkTerms::kInterChunk,
                               {o, TensorView()}, workspace, stream));
  }
  if (state == nullptr) return absl::OkStatus();
  return context.backend->elementwise().Copy(operands.leaving, state->memory,
                                             stream);
}

// The decays of all ranks, where they do not depend on the tokens.
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
      .state = AllocateState("d_leaving", context, pass),
      .scratch = AllocateExchange(context, pass, Direction::kBackward),
      .rows =
          RowsOf(context, pass, inputs, d_o, Direction::kBackward, workspace)};
  const bool last = context.rank() == context.ranks() - 1;

  // What this range's outputs want of the state that entered it.
  const std::unique_ptr<StateExchange> exchange = CreateStateExchange(
      context, parts_.layer, Direction::kBackward, Memory(pass), operands);
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  if (!exchange->own_state().is_null()) {
    RETURN_IF_ERROR(op.SummariseBackward(inputs, d_o, exchange->own_state(),
                                         workspace, stream));
  }
  RETURN_IF_ERROR(exchange->Start());

  // Meanwhile, everything that needs no other rank.
  RETURN_IF_ERROR(
      op.Gradients(inputs, tape.entering, {d_o, ConstTensorView()},
                   last ? ChunkTerms::kAll : ChunkTerms::kIntraChunk, d_inputs,
                   workspace, stream));

  // What later ranks want of the state that leaves this one.
  RETURN_IF_ERROR(exchange->Finish());
  if (last) return absl::OkStatus();
  return op.Gradients(inputs, tape.entering, {d_o, operands.state},
                      ChunkTerms::kInterChunk, d_inputs, workspace, stream);
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

int64_t RecurrenceByTokens::SummaryWorkspaceBytes(
    const RankContext& context, const LayerPass& pass,
    LinearAttentionStage stage) const {
  return WorkspaceBytes(context, pass, stage,
                        RowsTravel(context.method)
                            ? LongestRange(pass.shard->ranges())
                            : pass.shard->tokens());
}

int64_t RecurrenceByTokens::BackwardWorkspaceBytes(
    const RankContext& context, const LayerPass& pass) const {
  using Stage = LinearAttentionStage;
  int64_t bytes = std::max(
      WorkspaceBytes(context, pass, Stage::kGradients, pass.shard->tokens()),
      SummaryWorkspaceBytes(context, pass, Stage::kSummariseBackward));
  if (RowsTravel(context.method)) {
    bytes = std::max(bytes,
                     SummaryWorkspaceBytes(context, pass, Stage::kSummarise));
  }
  return bytes;
}

}  // namespace longspan::worker
