#include "worker/model/memory_recurrence.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
using kernels::LinearAttentionDecay;
using kernels::LinearAttentionStage;
using kernels::TensorView;
using kernels::Transition;

Transition TransitionOf(const LinearLayerForm& form) {
  if (form.delta) return Transition::kDense;
  switch (form.decay) {
    case StateDecay::kNone:
      return Transition::kIdentity;
    case StateDecay::kConstant:
      return Transition::kConstant;
    case StateDecay::kPerHead:
      return Transition::kScalar;
    case StateDecay::kPerChannel:
      return Transition::kVector;
  }
  return Transition::kIdentity;
}

// The constant log decays as an operand of the kernels.
Tensor DecayOperand(const std::vector<double>& decays,
                    const Parameters& parameters) {
  absl::StatusOr<Tensor> operand = parameters.Constant(decays);
  LONGSPAN_CHECK_OK(operand);
  return *std::move(operand);
}

TensorView OutputOf(const LinearAttentionTape& tape) {
  return tape.sums.is_null() ? tape.o : tape.sums;
}

}  // namespace

MemoryRecurrence::MemoryRecurrence(const LinearAttentionSpec& spec, int layer,
                                   const Parameters& parameters)
    : heads_(spec.heads),
      key_heads_(spec.key_heads),
      form_(FormOf(spec)),
      layer_(layer),
      log_decays_(LogDecays(spec.mixer, spec.heads)),
      log_decay_operand_(DecayOperand(log_decays_, parameters)) {}

MemoryShape MemoryRecurrence::Memory(const LayerPass& pass) const {
  return {pass.shard->batch(), heads_, form_.features, form_.columns,
          DecayKind(form_)};
}

TensorView MemoryRecurrence::AllocateState(const char* name,
                                           const RankContext& context,
                                           const LayerPass& pass) const {
  return context.arena->Allocate(
      name, context.accumulator(),
      {pass.shard->batch(), heads_, form_.features, form_.columns});
}

void MemoryRecurrence::AllocateTape(const RankContext& context,
                                    const LayerPass& pass,
                                    LinearAttentionTape& tape) const {
  if (context.ranks() == 1) return;
  tape.entering = AllocateState("entering", context, pass);
  tape.decays = AllocateDecays(context, pass);
}

TensorView MemoryRecurrence::AllocateDecays(const RankContext& context,
                                            const LayerPass& pass) const {
  const auto allocate = [&](std::initializer_list<int64_t> shape) {
    return context.arena->Allocate("decays", context.accumulator(), shape);
  };
  const int64_t ranks = KeepsAllDecays(context.method) ? context.ranks() : 1;
  const int64_t batch = pass.shard->batch();
  const int64_t features = form_.features;
  switch (DecayKind(form_)) {
    case LinearAttentionDecay::kMatrix:
      return allocate({ranks, batch, heads_, features, features});
    case LinearAttentionDecay::kChannel:
      return allocate({ranks, batch, heads_, features});
    default:
      return allocate({ranks, batch, heads_});
  }
}

TensorView MemoryRecurrence::AllocateExchange(const RankContext& context,
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

MemoryRecurrence::Inputs MemoryRecurrence::InputsOf(const LayerPass& pass,
                                                    const QkvViews& qkv,
                                                    const Tape& tape) const {
  Inputs inputs;
  inputs.transition = TransitionOf(form_);
  inputs.scale = form_.scale;
  inputs.q = qkv.q;
  inputs.k = qkv.k;
  inputs.v = qkv.v;
  inputs.log_gate = tape.log_gate;
  inputs.beta = tape.beta;
  if (inputs.transition == Transition::kConstant) {
    inputs.log_decay = log_decay_operand_.view();
  }
  inputs.documents = pass.shard->documents();
  return inputs;
}

// ---- Forward ---------------------------------------------------------------

absl::Status MemoryRecurrence::Forward(const RankContext& context,
                                       const LayerPass& pass, LayerState* state,
                                       const QkvViews& qkv,
                                       const Tape& tape) const {
  const Inputs inputs = InputsOf(pass, qkv, tape);
  if (context.ranks() > 1) return RunInGang(context, pass, state, inputs, tape);
  const bool decodes = state != nullptr && pass.shard->tokens() == 1 &&
                       pass.shard->documents().empty();
  if (decodes) return Decode(context, pass, state, inputs, tape);
  return RunAlone(context, pass, state, inputs, tape);
}

// One token per text: the state is updated where it lies.
absl::Status MemoryRecurrence::Decode(const RankContext& context,
                                      const LayerPass& pass, LayerState* state,
                                      const Inputs& inputs,
                                      const Tape& tape) const {
  const TensorView slots = context.arena->Allocate(
      "slots", kernels::DType::kI32, {pass.shard->batch()});
  std::vector<int32_t> own(pass.shard->batch());  // text b has state b
  std::iota(own.begin(), own.end(), 0);
  RETURN_IF_ERROR(context.transfer().Upload(own.data(), slots));
  return context.backend->linear_attention().Decode(
      inputs, slots, state->memory, OutputOf(tape), *context.stream);
}

absl::Status MemoryRecurrence::RunAlone(const RankContext& context,
                                        const LayerPass& pass,
                                        LayerState* state, const Inputs& inputs,
                                        const Tape& tape) const {
  TensorView entering, leaving;
  if (state != nullptr) {
    entering = state->memory;
    leaving = AllocateState("leaving", context, pass);
  }
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", ForwardWorkspaceBytes(context, pass));
  RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
      inputs, entering, ChunkTerms::kAll, {OutputOf(tape), leaving}, workspace,
      *context.stream));
  if (state == nullptr) return absl::OkStatus();
  return context.backend->elementwise().Copy(leaving, state->memory,
                                             *context.stream);
}

absl::Status MemoryRecurrence::RunInGang(const RankContext& context,
                                         const LayerPass& pass,
                                         LayerState* state,
                                         const Inputs& inputs,
                                         const Tape& tape) const {
  kernels::LinearAttention& op = context.backend->linear_attention();
  kernels::Stream& stream = *context.stream;
  const TensorView entering = state == nullptr ? TensorView() : state->memory;
  const StateExchangeOperands operands = {
      .decays = tape.decays,
      .decays_travel = travels(),
      .initial = entering,
      .state = tape.entering,
      .leaving = state == nullptr ? TensorView()
                                  : AllocateState("leaving", context, pass),
      .scratch = AllocateExchange(context, pass, Direction::kForward)};
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", ForwardWorkspaceBytes(context, pass));
  const bool first = context.rank() == 0;

  // What this range does to an incoming state, on its way to the other ranks.
  const std::unique_ptr<StateExchange> exchange = CreateStateExchange(
      context, layer_, Direction::kForward, Memory(pass), operands);
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  kernels::LinearAttentionSummary summary = {.state = exchange->own_state()};
  (form_.delta ? summary.transition : summary.log_decay) =
      exchange->own_decay();
  RETURN_IF_ERROR(op.Summarise(inputs, summary, workspace, stream));
  RETURN_IF_ERROR(exchange->Start());

  // Meanwhile, everything that needs no other rank.
  RETURN_IF_ERROR(KnowDecays(context, pass, tape));
  RETURN_IF_ERROR(op.Outputs(inputs, first ? entering : TensorView(),
                             first ? ChunkTerms::kAll : ChunkTerms::kIntraChunk,
                             {OutputOf(tape), TensorView()}, workspace,
                             stream));

  // The state that enters this rank, and what it adds.
  RETURN_IF_ERROR(exchange->Finish());
  if (!first) {
    RETURN_IF_ERROR(op.Outputs(inputs, tape.entering, ChunkTerms::kInterChunk,
                               {OutputOf(tape), TensorView()}, workspace,
                               stream));
  }
  if (state == nullptr) return absl::OkStatus();
  return context.backend->elementwise().Copy(operands.leaving, state->memory,
                                             stream);
}

// The decays of all ranks, where they do not depend on the tokens.
absl::Status MemoryRecurrence::KnowDecays(const RankContext& context,
                                          const LayerPass& pass,
                                          const Tape& tape) const {
  if (travels() || !KeepsAllDecays(context.method)) return absl::OkStatus();
  std::vector<double> decays(tape.decays.element_count());
  FillConstantDecays(*pass.shard, log_decays_,
                     TensorView(decays.data(), kernels::DType::kF64,
                                {tape.decays.element_count()}));
  return context.transfer().UploadNumbers(decays, tape.decays);
}

// ---- Backward --------------------------------------------------------------

absl::Status MemoryRecurrence::Backward(const RankContext& context,
                                        const LayerPass& pass,
                                        const QkvViews& qkv, const Tape& tape,
                                        const LinearAttentionLayerGradients& d,
                                        const QkvViews& d_qkv,
                                        TensorView workspace) const {
  const Inputs inputs = InputsOf(pass, qkv, tape);
  const ConstTensorView d_o = d.d_sums.is_null() ? d.d_o : d.d_sums;
  const kernels::LinearAttentionGradients d_inputs = {
      .d_q = d_qkv.q,
      .d_k = d_qkv.k,
      .d_v = d_qkv.v,
      .d_log_gate = d.d_log_gate,
      .d_beta = d.d_beta};
  if (context.ranks() > 1) {
    return BackwardInGang(context, pass, inputs, tape, d_o, d_inputs,
                          workspace);
  }
  return context.backend->linear_attention().Gradients(
      inputs, ConstTensorView(), {d_o, ConstTensorView()}, ChunkTerms::kAll,
      d_inputs, workspace, *context.stream);
}

absl::Status MemoryRecurrence::BackwardInGang(
    const RankContext& context, const LayerPass& pass, const Inputs& inputs,
    const Tape& tape, ConstTensorView d_o,
    const kernels::LinearAttentionGradients& d_inputs,
    TensorView workspace) const {
  kernels::LinearAttention& op = context.backend->linear_attention();
  kernels::Stream& stream = *context.stream;
  const StateExchangeOperands operands = {
      .decays = tape.decays,
      .state = AllocateState("d_leaving", context, pass),
      .scratch = AllocateExchange(context, pass, Direction::kBackward)};
  const bool last = context.rank() == context.ranks() - 1;

  // What this range's outputs want of the state that entered it.
  const std::unique_ptr<StateExchange> exchange = CreateStateExchange(
      context, layer_, Direction::kBackward, Memory(pass), operands);
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  RETURN_IF_ERROR(op.SummariseBackward(inputs, d_o, exchange->own_state(),
                                       workspace, stream));
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

int64_t MemoryRecurrence::WorkspaceBytes(const RankContext& context,
                                         const LayerPass& pass,
                                         LinearAttentionStage stage) const {
  return kernels::LinearAttentionWorkspaceBytes(
      stage,
      {pass.shard->batch(), pass.shard->tokens(), heads_, form_.features,
       form_.columns, context.element_bytes(), DecayKind(form_), key_heads_},
      context.backend_kind, context.threads);
}

int64_t MemoryRecurrence::ForwardWorkspaceBytes(const RankContext& context,
                                                const LayerPass& pass) const {
  const int64_t outputs =
      WorkspaceBytes(context, pass, LinearAttentionStage::kOutputs);
  if (context.ranks() == 1) return outputs;
  return std::max(
      outputs, WorkspaceBytes(context, pass, LinearAttentionStage::kSummarise));
}

int64_t MemoryRecurrence::BackwardWorkspaceBytes(const RankContext& context,
                                                 const LayerPass& pass) const {
  const int64_t bytes =
      WorkspaceBytes(context, pass, LinearAttentionStage::kGradients);
  if (context.ranks() == 1) return bytes;
  return std::max(
      bytes,
      WorkspaceBytes(context, pass, LinearAttentionStage::kSummariseBackward));
}

}  // namespace longspan::worker
