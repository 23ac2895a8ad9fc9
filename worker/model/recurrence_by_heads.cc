#include "worker/model/recurrence_by_heads.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
using kernels::LinearAttentionGradients;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionStage;
using kernels::TensorView;

using Moves = std::vector<HeadExchange::Move>;

void AddIfThere(ConstTensorView from, TensorView to, Moves& moves) {
  if (!from.is_null()) moves.push_back({from, to});
}

}  // namespace

// ---- Where the numbers lie -------------------------------------------------

HeadCut RecurrenceByHeads::CutOf(const RankContext& context, int rank) const {
  return CutHeads(parts_.heads, parts_.key_heads, rank, context.ranks());
}

HeadExchange RecurrenceByHeads::Exchange(const RankContext& context,
                                         const LayerPass& pass,
                                         Direction direction) const {
  return HeadExchange(context, parts_.layer, direction, *pass.shard,
                      parts_.heads, parts_.key_heads);
}

TensorView RecurrenceByHeads::AllocateValues(const char* name,
                                             const RankContext& context,
                                             const LayerPass& pass) const {
  const SequencePiece& piece = pass.shard->piece();
  return context.arena->Allocate(
      name, context.dtype,
      {piece.batch, piece.tokens, CutOf(context, context.rank()).heads.size(),
       parts_.form.columns});
}

TensorView RecurrenceByHeads::AllocateKeys(const char* name,
                                           const RankContext& context,
                                           const LayerPass& pass) const {
  const SequencePiece& piece = pass.shard->piece();
  return context.arena->Allocate(
      name, context.dtype,
      {piece.batch, piece.tokens,
       CutOf(context, context.rank()).key_heads.size(), parts_.form.features});
}

TensorView RecurrenceByHeads::AllocateGate(const char* name,
                                           const RankContext& context,
                                           const LayerPass& pass) const {
  const SequencePiece& piece = pass.shard->piece();
  const int64_t heads = CutOf(context, context.rank()).heads.size();
  const kernels::DType dtype = context.accumulator();
  switch (parts_.form.decay) {
    case StateDecay::kPerHead:
      return context.arena->Allocate(name, dtype,
                                     {piece.batch, piece.tokens, heads});
    case StateDecay::kPerChannel:
      return context.arena->Allocate(
          name, dtype,
          {piece.batch, piece.tokens, heads, parts_.form.features});
    default:
      return TensorView();
  }
}

TensorView RecurrenceByHeads::AllocateBeta(const char* name,
                                           const RankContext& context,
                                           const LayerPass& pass) const {
  if (!parts_.form.delta) return TensorView();
  const SequencePiece& piece = pass.shard->piece();
  return context.arena->Allocate(
      name, context.accumulator(),
      {piece.batch, piece.tokens, CutOf(context, context.rank()).heads.size()});
}

TensorView RecurrenceByHeads::AllocateParcels(const RankContext& context,
                                              const LayerPass& pass) const {
  const HeadExchangeShape shape = {pass.shard->batch(), pass.shard->ranges(),
                                   parts_.heads, parts_.key_heads,
                                   context.element_bytes()};
  return context.arena->AllocateWorkspace(
      "parcels",
      HeadScratchBytes(shape, HeadTrafficOf(parts_.form), context.rank()));
}

void RecurrenceByHeads::AllocateTape(const RankContext& context,
                                     const LayerPass& pass,
                                     LinearAttentionTape& tape) const {
  tape.head_q = AllocateKeys("head_q", context, pass);
  tape.head_k = AllocateKeys("head_k", context, pass);
  tape.head_v = AllocateValues("head_v", context, pass);
  tape.head_log_gate = AllocateGate("head_log_gate", context, pass);
  tape.head_beta = AllocateBeta("head_beta", context, pass);
}

LinearAttentionInputs RecurrenceByHeads::InputsOf(
    const RankContext& context, const LayerPass& pass,
    LinearAttentionInputs inputs, const LinearAttentionTape& tape) const {
  const HeadRange own = CutOf(context, context.rank()).heads;
  const std::vector<int64_t>& starts = pass.shard->piece().document_starts;
  inputs.q = tape.head_q;
  inputs.k = tape.head_k;
  inputs.v = tape.head_v;
  inputs.log_gate = tape.head_log_gate;
  inputs.beta = tape.head_beta;
  if (!inputs.log_decay.is_null()) {
    inputs.log_decay = inputs.log_decay.Slice(0, own.begin, own.end);
  }
  inputs.documents = {starts.data(), static_cast<int64_t>(starts.size())};
  return inputs;
}

// ---- Forward ---------------------------------------------------------------

absl::Status RecurrenceByHeads::Forward(const RankContext& context,
                                        const LayerPass& pass,
                                        LayerState* state,
                                        const LinearAttentionInputs& inputs,
                                        const LinearAttentionTape& tape,
                                        TensorView o) const {
  const TensorView parcels = AllocateParcels(context, pass);
  const TensorView head_o = AllocateValues("head_o", context, pass);
  TensorView entering, leaving, states;
  if (state != nullptr) {
    const HeadRange own = CutOf(context, context.rank()).heads;
    entering = state->memory.Slice(1, own.begin, own.end);
    states = context.arena->Allocate("leaving", context.accumulator(),
                                     {state->memory.element_count()});
    leaving = StatePart(context, pass, states, context.rank());
  }
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace",
      WorkspaceBytes(context, pass, LinearAttentionStage::kOutputs));
  const HeadExchange exchange = Exchange(context, pass, Direction::kForward);

  Moves moves;
  AddIfThere(inputs.log_gate, tape.head_log_gate, moves);
  AddIfThere(inputs.beta, tape.head_beta, moves);
  moves.push_back({inputs.q, tape.head_q, /*of_key_heads=*/true});
  moves.push_back({inputs.k, tape.head_k, /*of_key_heads=*/true});
  moves.push_back({inputs.v, tape.head_v});
  RETURN_IF_ERROR(exchange.ToHeads(moves, parcels));

  RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
      InputsOf(context, pass, inputs, tape), entering, ChunkTerms::kAll,
      {head_o, leaving}, workspace, *context.stream));

  RETURN_IF_ERROR(exchange.ToTokens({{head_o, o}}, parcels));
  if (state == nullptr) return absl::OkStatus();
  return ShareLeaving(context, pass, states, state->memory);
}

TensorView RecurrenceByHeads::StatePart(const RankContext& context,
                                        const LayerPass& pass,
                                        TensorView states, int rank) const {
  const HeadRange heads = CutOf(context, rank).heads;
  const int64_t batch = pass.shard->batch();
  const int64_t head = parts_.form.features * parts_.form.columns;
  return states.Slice(0, batch * heads.begin * head, batch * heads.end * head)
      .Reshape(
          {batch, heads.size(), parts_.form.features, parts_.form.columns});
}

absl::Status RecurrenceByHeads::ShareLeaving(const RankContext& context,
                                             const LayerPass& pass,
                                             TensorView states,
                                             TensorView memory) const {
  std::vector<TensorView> parts;
  for (int r = 0; r < context.ranks(); ++r) {
    parts.push_back(StatePart(context, pass, states, r));
  }
  RETURN_IF_ERROR(context.group
                      ->AllGather(parts[context.rank()], parts,
                                  {Traffic::kStateExchange, Direction::kForward,
                                   parts_.layer},
                                  context.stream)
                      ->Wait());
  for (int r = 0; r < context.ranks(); ++r) {
    const HeadRange heads = CutOf(context, r).heads;
    RETURN_IF_ERROR(context.backend->elementwise().Copy(
        parts[r], memory.Slice(1, heads.begin, heads.end), *context.stream));
  }
  return absl::OkStatus();
}

// ---- Backward --------------------------------------------------------------

absl::Status RecurrenceByHeads::Backward(
    const RankContext& context, const LayerPass& pass,
    const LinearAttentionInputs& inputs, const LinearAttentionTape& tape,
    TensorView d_o, const LinearAttentionGradients& d_inputs,
    TensorView workspace) const {
  const TensorView parcels = AllocateParcels(context, pass);
  const TensorView head_d_o = AllocateValues("head_d_o", context, pass);
  const LinearAttentionGradients d = {
      .d_q = AllocateKeys("head_d_q", context, pass),
      .d_k = AllocateKeys("head_d_k", context, pass),
      .d_v = AllocateValues("head_d_v", context, pass),
      .d_log_gate = AllocateGate("head_d_log_gate", context, pass),
      .d_beta = AllocateBeta("head_d_beta", context, pass)};
  const HeadExchange exchange = Exchange(context, pass, Direction::kBackward);

  RETURN_IF_ERROR(exchange.ToHeads({{d_o, head_d_o}}, parcels));

  RETURN_IF_ERROR(context.backend->linear_attention().Gradients(
      InputsOf(context, pass, inputs, tape), ConstTensorView(),
      {head_d_o, ConstTensorView()}, ChunkTerms::kAll, d, workspace,
      *context.stream));

  Moves moves;
  AddIfThere(d.d_log_gate, d_inputs.d_log_gate, moves);
  AddIfThere(d.d_beta, d_inputs.d_beta, moves);
  moves.push_back({d.d_q, d_inputs.d_q, /*of_key_heads=*/true});
  moves.push_back({d.d_k, d_inputs.d_k, /*of_key_heads=*/true});
  moves.push_back({d.d_v, d_inputs.d_v});
  return exchange.ToTokens(moves, parcels);
}

// ---- Sizes -----------------------------------------------------------------

int64_t RecurrenceByHeads::WorkspaceBytes(const RankContext& context,
                                          const LayerPass& pass,
                                          LinearAttentionStage stage) const {
  const SequencePiece& piece = pass.shard->piece();
  const HeadCut own = CutOf(context, context.rank());
  return RecurrenceWorkspaceBytes(
      context, stage, parts_.form,
      {piece.batch, piece.tokens, own.heads.size(), own.key_heads.size()});
}

int64_t RecurrenceByHeads::BackwardWorkspaceBytes(const RankContext& context,
                                                  const LayerPass& pass) const {
  return WorkspaceBytes(context, pass, LinearAttentionStage::kGradients);
}

}  // namespace longspan::worker
