#include "worker/model/memory_recurrence.h"

#include <numeric>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
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
                                   const Parameters& parameters,
                                   std::vector<double> log_decays)
    : parts_({layer, spec.heads, spec.key_heads, FormOf(spec),
              std::move(log_decays)}),
      by_tokens_(parts_),
      by_heads_(parts_),
      by_left_ring_(parts_),
      log_decay_operand_(DecayOperand(parts_.log_decays, parameters)) {}

void MemoryRecurrence::AllocateTape(const RankContext& context,
                                    const LayerPass& pass,
                                    LinearAttentionTape& tape) const {
  if (context.ranks() > 1) gang(context).AllocateTape(context, pass, tape);
}

TensorView MemoryRecurrence::AllocateLeaving(const RankContext& context,
                                             const LayerPass& pass) const {
  return context.arena->Allocate("leaving", context.accumulator(),
                                 {pass.shard->batch(), parts_.heads,
                                  parts_.form.features, parts_.form.columns});
}

MemoryRecurrence::Inputs MemoryRecurrence::InputsOf(const QkvViews& qkv,
                                                    const Tape& tape) const {
  Inputs inputs;
  inputs.transition = TransitionOf(parts_.form);
  inputs.scale = parts_.form.scale;
  inputs.q = qkv.q;
  inputs.k = qkv.k;
  inputs.v = qkv.v;
  inputs.log_gate = tape.log_gate;
  inputs.beta = tape.beta;
  if (inputs.transition == Transition::kConstant) {
    inputs.log_decay = log_decay_operand_.view();
  }
  return inputs;
}

// ---- Forward ---------------------------------------------------------------

absl::Status MemoryRecurrence::Forward(const RankContext& context,
                                       const LayerPass& pass, LayerState* state,
                                       const QkvViews& qkv,
                                       const Tape& tape) const {
  Inputs inputs = InputsOf(qkv, tape);
  if (context.ranks() > 1) {
    return gang(context).Forward(context, pass, state, inputs, tape,
                                 OutputOf(tape));
  }
  inputs.documents = pass.shard->documents();
  const bool decodes =
      state != nullptr && pass.shard->tokens() == 1 && inputs.documents.empty();
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
    leaving = AllocateLeaving(context, pass);
  }
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace",
      WorkspaceBytes(context, pass, LinearAttentionStage::kOutputs));
  RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
      inputs, entering, ChunkTerms::kAll, {OutputOf(tape), leaving}, workspace,
      *context.stream));
  if (state == nullptr) return absl::OkStatus();
  return context.backend->elementwise().Copy(leaving, state->memory,
                                             *context.stream);
}

// ---- Backward --------------------------------------------------------------

absl::Status MemoryRecurrence::Backward(const RankContext& context,
                                        const LayerPass& pass,
                                        const QkvViews& qkv, const Tape& tape,
                                        const LinearAttentionLayerGradients& d,
                                        const QkvViews& d_qkv,
                                        TensorView workspace) const {
  Inputs inputs = InputsOf(qkv, tape);
  const TensorView d_o = d.d_sums.is_null() ? d.d_o : d.d_sums;
  const kernels::LinearAttentionGradients d_inputs = {
      .d_q = d_qkv.q,
      .d_k = d_qkv.k,
      .d_v = d_qkv.v,
      .d_log_gate = d.d_log_gate,
      .d_beta = d.d_beta};
  if (context.ranks() > 1) {
    return gang(context).Backward(context, pass, inputs, tape, d_o, d_inputs,
                                  workspace);
  }
  inputs.documents = pass.shard->documents();
  return context.backend->linear_attention().Gradients(
      inputs, ConstTensorView(), {d_o, ConstTensorView()}, ChunkTerms::kAll,
      d_inputs, workspace, *context.stream);
}

// ---- Sizes -----------------------------------------------------------------

int64_t MemoryRecurrence::WorkspaceBytes(const RankContext& context,
                                         const LayerPass& pass,
                                         LinearAttentionStage stage) const {
  return RecurrenceWorkspaceBytes(context, stage, parts_.form,
                                  {pass.shard->batch(), pass.shard->tokens(),
                                   parts_.heads, parts_.key_heads});
}

int64_t MemoryRecurrence::BackwardWorkspaceBytes(const RankContext& context,
                                                 const LayerPass& pass) const {
  return context.ranks() > 1
             ? gang(context).BackwardWorkspaceBytes(context, pass)
             : WorkspaceBytes(context, pass, LinearAttentionStage::kGradients);
}

}  // namespace longspan::worker
