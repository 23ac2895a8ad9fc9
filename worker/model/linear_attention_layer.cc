#include "worker/model/linear_attention_layer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionStage;
using kernels::TensorView;
using kernels::Transition;
using Write = LinearWeight::Write;

std::string Prefix(int layer) {
  return absl::StrCat("model.layers.", layer, ".attn.");
}

// The last matrix of the fused input projection.
std::string LastProjection(const LinearAttentionSpec& spec) {
  if (spec.mixer == LinearMixer::kSimpleGla) return "gk_proj.weight";
  return spec.output_gate ? "g_proj.weight" : "v_proj.weight";
}

LinearWeight InputProjection(const LinearAttentionSpec& spec, int layer,
                             const Parameters& parameters) {
  const std::string first = Prefix(layer) + "q_proj.weight";
  const std::string last = Prefix(layer) + LastProjection(spec);
  return LinearWeight(parameters.PackedCompute(first, last),
                      parameters.PackedGradient(first, last));
}

Norm OutputNorm(const ModelSpec& spec, int layer,
                const Parameters& parameters) {
  const std::string name =
      Prefix(layer) +
      (spec.linear.output_gate ? "g_norm_swish_gate.weight" : "g_norm.weight");
  return Norm(parameters.Value(name), parameters.Gradient(name),
              spec.norm_epsilon);
}

Transition TransitionOf(LinearMixer mixer) {
  switch (mixer) {
    case LinearMixer::kBasic:
      return Transition::kIdentity;
    case LinearMixer::kSimpleGla:
      return Transition::kScalar;
    case LinearMixer::kLightning:
    case LinearMixer::kRetention:
      return Transition::kConstant;
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

// [B, n, C] contiguous as rows [M, C].
TensorView AsRows(TensorView x) {
  return x.Reshape({x.size(0) * x.size(1), x.size(2)});
}
// [B, n, H, D] contiguous as [M, H, D] and as [M, H D].
TensorView AsHeads(TensorView o) {
  return o.Reshape({o.size(0) * o.size(1), o.size(2), o.size(3)});
}

}  // namespace

LinearAttentionLayer::LinearAttentionLayer(const ModelSpec& spec, int layer,
                                           const Parameters& parameters)
    : spec_(spec.linear),
      widths_(LinearProjectionWidths(spec.linear)),
      layer_(layer),
      log_decays_(LogDecays(spec.linear.mixer, spec.linear.heads)),
      log_decay_operand_(DecayOperand(log_decays_, parameters)),
      project_in_(InputProjection(spec.linear, layer, parameters)),
      qkv_(spec.linear, layer, Prefix(layer), parameters),
      norm_(OutputNorm(spec, layer, parameters)),
      project_out_(parameters.Compute(Prefix(layer) + "o_proj.weight"),
                   parameters.Gradient(Prefix(layer) + "o_proj.weight")) {
  if (!gated()) return;
  decay_bias_ = parameters.Value(Prefix(layer) + "gk_proj.bias");
  decay_bias_gradient_ = parameters.Gradient(Prefix(layer) + "gk_proj.bias");
}

MixerTape LinearAttentionLayer::AllocateTape(const RankContext& context,
                                             const LayerPass& pass) const {
  const int64_t batch = pass.shard->batch();
  const int64_t tokens = pass.shard->tokens();
  const int64_t heads = spec_.heads;
  const bool gang = context.ranks() > 1;
  const auto take = [&](const char* name,
                        std::initializer_list<int64_t> shape) {
    return context.arena->Allocate(name, context.dtype, shape);
  };
  const auto take_wide = [&](const char* name,
                             std::initializer_list<int64_t> shape) {
    return context.arena->Allocate(name, context.accumulator(), shape);
  };
  Tape tape;
  tape.packed = take("packed", {batch, tokens, widths_.stride()});
  if (qkv_.convolves() && (gang || pass.carries_state)) {
    tape.halo =
        take("halo", {batch, spec_.short_convolution - 1, widths_.mixed()});
  }
  if (qkv_.convolves()) {
    tape.convolved = take("convolved", {batch, tokens, widths_.mixed()});
  }
  if (spec_.feature_map == FeatureMap::kSilu) {
    tape.features = take("features", {batch, tokens, 2 * widths_.key});
  }
  if (gated()) tape.log_gate = take_wide("log_gate", {batch, tokens, heads});
  if (gang) {
    tape.entering =
        take_wide("entering", {batch, heads, spec_.key_dim, spec_.value_dim});
    tape.decays = take_wide("decays", {context.ranks(), batch, heads});
  }
  tape.o = take("o", {batch, tokens, heads, spec_.value_dim});
  tape.o_rstd = take_wide("o_rstd", {batch * tokens, heads});
  tape.normed = take("normed", {batch * tokens, widths_.value});
  return tape;
}

TensorView LinearAttentionLayer::GateColumns(TensorView packed) const {
  if (widths_.gate == 0) return TensorView();
  return packed.Slice(1, widths_.mixed(), widths_.mixed() + widths_.gate)
      .SplitLast(spec_.heads);
}

TensorView LinearAttentionLayer::DecayColumns(TensorView packed) const {
  return packed.Slice(1, widths_.used() - widths_.decay, widths_.used());
}

MemoryShape LinearAttentionLayer::Memory(const LayerPass& pass) const {
  return {pass.shard->batch(), spec_.heads, spec_.key_dim, spec_.value_dim};
}

LinearAttentionInputs LinearAttentionLayer::Operands(const LayerPass& pass,
                                                     const Tape& tape) const {
  const QkvViews qkv = qkv_.Views({tape.packed, tape.convolved, tape.features});
  LinearAttentionInputs operands;
  operands.transition = TransitionOf(spec_.mixer);
  operands.scale = 1.0 / std::sqrt(static_cast<double>(spec_.key_dim));
  operands.q = qkv.q;
  operands.k = qkv.k;
  operands.v = qkv.v;
  operands.log_gate = tape.log_gate;
  if (operands.transition == Transition::kConstant) {
    operands.log_decay = log_decay_operand_.view();
  }
  operands.documents = pass.shard->documents();
  return operands;
}

kernels::LinearAttentionGradients LinearAttentionLayer::OperandGradients(
    const Gradients& d) const {
  const QkvViews views = qkv_.Views({d.d_packed, d.d_convolved, d.d_features});
  return {.d_q = views.q,
          .d_k = views.k,
          .d_v = views.v,
          .d_log_gate = d.d_log_gate};
}

// ---- Forward ---------------------------------------------------------------

absl::Status LinearAttentionLayer::Prepare(const RankContext&, const LayerPass&,
                                           LayerState*, MixerTape&) {
  return absl::OkStatus();
}

absl::Status LinearAttentionLayer::Project(const RankContext& context,
                                           const LayerPass&, RowRange rows,
                                           ConstTensorView input,
                                           MixerTape& mixer_tape) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const TensorView packed = rows.Of(AsRows(tape.packed));
  RETURN_IF_ERROR(project_in_.Forward(context, input, Write::kReplace,
                                      packed.Slice(1, 0, widths_.used())));
  if (!gated()) return absl::OkStatus();
  return context.backend->elementwise().LogSigmoidGate(
      DecayColumns(packed), decay_bias_, kGateNormalizer,
      rows.Of(AsRows(tape.log_gate)), *context.stream);
}

absl::Status LinearAttentionLayer::Mix(const RankContext& context,
                                       const LayerPass& pass, LayerState* state,
                                       MixerTape& mixer_tape) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const ArenaScope scratch(*context.arena);
  RETURN_IF_ERROR(qkv_.Forward(context, pass, state, tape));
  if (context.ranks() > 1) return RecurInGang(context, pass, state, tape);
  const bool decodes = state != nullptr && pass.shard->tokens() == 1 &&
                       pass.shard->documents().empty();
  if (decodes) return Decode(context, pass, state, tape);
  return RecurAlone(context, pass, state, tape);
}

absl::Status LinearAttentionLayer::Output(const RankContext& context,
                                          RowRange rows, MixerTape& mixer_tape,
                                          TensorView residual) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const TensorView normed = rows.Of(tape.normed);
  RETURN_IF_ERROR(norm_.Forward(context, rows.Of(AsHeads(tape.o)),
                                GateColumns(rows.Of(AsRows(tape.packed))),
                                normed.SplitLast(spec_.heads),
                                rows.Of(tape.o_rstd)));
  return project_out_.Forward(context, normed, Write::kAdd, residual);
}

// One token per text: the state is updated where it lies.
absl::Status LinearAttentionLayer::Decode(const RankContext& context,
                                          const LayerPass& pass,
                                          LayerState* state,
                                          const Tape& tape) const {
  const TensorView slots = context.arena->Allocate(
      "slots", kernels::DType::kI32, {pass.shard->batch()});
  std::vector<int32_t> own(pass.shard->batch());  // text b has state b
  std::iota(own.begin(), own.end(), 0);
  RETURN_IF_ERROR(context.transfer().Upload(own.data(), slots));
  return context.backend->linear_attention().Decode(
      Operands(pass, tape), slots, state->memory, tape.o, *context.stream);
}

absl::Status LinearAttentionLayer::RecurAlone(const RankContext& context,
                                              const LayerPass& pass,
                                              LayerState* state,
                                              const Tape& tape) const {
  const MemoryShape m = Memory(pass);
  TensorView entering, leaving;
  if (state != nullptr) {
    entering = state->memory;
    leaving =
        context.arena->Allocate("leaving", context.accumulator(),
                                {m.batch, m.heads, m.key_dim, m.value_dim});
  }
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", ForwardWorkspaceBytes(context, pass));
  RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
      Operands(pass, tape), entering, ChunkTerms::kAll, {tape.o, leaving},
      workspace, *context.stream));
  if (state == nullptr) return absl::OkStatus();
  return context.backend->elementwise().Copy(leaving, state->memory,
                                             *context.stream);
}

absl::Status LinearAttentionLayer::RecurInGang(const RankContext& context,
                                               const LayerPass& pass,
                                               LayerState* state,
                                               const Tape& tape) const {
  kernels::LinearAttention& op = context.backend->linear_attention();
  kernels::Stream& stream = *context.stream;
  const LinearAttentionInputs operands = Operands(pass, tape);
  const MemoryShape m = Memory(pass);
  const TensorView gathered = context.arena->Allocate(
      "gathered", context.accumulator(),
      {context.ranks(), SummaryBuffer::RowCount(m, gated())});
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", ForwardWorkspaceBytes(context, pass));
  const TensorView entering = state == nullptr ? TensorView() : state->memory;
  const bool first = context.rank() == 0;

  // What this range does to an incoming state, on its way to all ranks.
  StateExchange exchange(context, layer_, m, gathered);
  const TensorView own_decay =
      gated() ? exchange.own_decay() : tape.decays.Select(0, context.rank());
  RETURN_IF_ERROR(op.Summarise(operands, {exchange.own_state(), own_decay},
                               workspace, stream));
  RETURN_IF_ERROR(exchange.Start(Direction::kForward));

  // Meanwhile, everything that needs no other rank.
  RETURN_IF_ERROR(op.Outputs(operands, first ? entering : TensorView(),
                             first ? ChunkTerms::kAll : ChunkTerms::kIntraChunk,
                             {tape.o, TensorView()}, workspace, stream));

  // The state that enters this rank, and what it adds.
  RETURN_IF_ERROR(exchange.Wait());
  RETURN_IF_ERROR(KeepDecays(context, pass, exchange, tape));
  RETURN_IF_ERROR(exchange.FoldBefore(tape.decays, entering, tape.entering));
  if (!first) {
    RETURN_IF_ERROR(op.Outputs(operands, tape.entering, ChunkTerms::kInterChunk,
                               {tape.o, TensorView()}, workspace, stream));
  }
  return state == nullptr ? absl::OkStatus()
                          : LeaveState(context, pass, exchange, tape, *state);
}

// The decays of all ranks: those that travelled, or those that every rank
// knows.
absl::Status LinearAttentionLayer::KeepDecays(const RankContext& context,
                                              const LayerPass& pass,
                                              const StateExchange& exchange,
                                              const Tape& tape) const {
  if (gated()) return exchange.KeepDecays(tape.decays);
  std::vector<double> decays(tape.decays.element_count());
  FillConstantDecays(*pass.shard, log_decays_,
                     TensorView(decays.data(), kernels::DType::kF64,
                                {tape.decays.element_count()}));
  return context.transfer().UploadNumbers(decays, tape.decays);
}

// The state that leaves the last rank, on every rank.
absl::Status LinearAttentionLayer::LeaveState(const RankContext& context,
                                              const LayerPass& pass,
                                              StateExchange& exchange,
                                              const Tape& tape,
                                              LayerState& state) const {
  const MemoryShape m = Memory(pass);
  const TensorView leaving =
      context.arena->Allocate("leaving", context.accumulator(),
                              {m.batch, m.heads, m.key_dim, m.value_dim});
  RETURN_IF_ERROR(exchange.FoldAll(tape.decays, state.memory, leaving));
  return context.backend->elementwise().Copy(leaving, state.memory,
                                             *context.stream);
}

// ---- Backward --------------------------------------------------------------

MixerGradients LinearAttentionLayer::AllocateGradients(
    const RankContext& context, const LayerPass& pass) const {
  const int64_t batch = pass.shard->batch();
  const int64_t tokens = pass.shard->tokens();
  const auto take = [&](const char* name,
                        std::initializer_list<int64_t> shape) {
    return context.arena->Allocate(name, context.dtype, shape);
  };
  Gradients d;
  d.d_o = take("d_o", {batch, tokens, spec_.heads, spec_.value_dim});
  d.d_packed = take("d_packed", {batch, tokens, widths_.stride()});
  if (qkv_.convolves()) {
    d.d_convolved = take("d_convolved", {batch, tokens, widths_.mixed()});
  }
  if (spec_.feature_map == FeatureMap::kSilu) {
    d.d_features = take("d_features", {batch, tokens, 2 * widths_.key});
  }
  if (gated()) {
    d.d_log_gate = context.arena->Allocate("d_log_gate", context.accumulator(),
                                           {batch, tokens, spec_.heads});
  }
  return d;
}

absl::Status LinearAttentionLayer::OutputBackward(
    const RankContext& context, RowRange rows, ConstTensorView d_output,
    MixerTape& mixer_tape, MixerGradients& mixer_gradients) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  const ArenaScope scratch(*context.arena);
  const TensorView d_normed = context.arena->Allocate(
      "d_normed", context.dtype, {rows.size(), widths_.value});
  const TensorView workspace = context.arena->AllocateWorkspace(
      "head_norm_workspace",
      kernels::RmsNormBackwardWorkspaceBytes(
          rows.size() * spec_.heads, spec_.value_dim, context.element_bytes(),
          context.backend_kind, context.threads));
  RETURN_IF_ERROR(project_out_.Backward(context, rows.Of(tape.normed), d_output,
                                        Write::kReplace, d_normed));
  return norm_.Backward(context, rows.Of(AsHeads(tape.o)),
                        GateColumns(rows.Of(AsRows(tape.packed))),
                        rows.Of(tape.o_rstd), d_normed.SplitLast(spec_.heads),
                        {.d_x = rows.Of(AsHeads(d.d_o)),
                         .d_gate = GateColumns(rows.Of(AsRows(d.d_packed)))},
                        workspace);
}

absl::Status LinearAttentionLayer::MixBackward(
    const RankContext& context, const LayerPass& pass, MixerTape& mixer_tape,
    MixerGradients& mixer_gradients) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  const ArenaScope scratch(*context.arena);
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", BackwardWorkspaceBytes(context, pass));
  RETURN_IF_ERROR(context.ranks() > 1
                      ? RecurBackwardInGang(context, pass, tape, d, workspace)
                      : RecurBackwardAlone(context, pass, tape, d, workspace));
  return qkv_.Backward(context, pass, tape,
                       {d.d_packed, d.d_convolved, d.d_features}, workspace);
}

absl::Status LinearAttentionLayer::ProjectBackward(
    const RankContext& context, RowRange rows, ConstTensorView input,
    MixerTape& mixer_tape, MixerGradients& mixer_gradients,
    TensorView d_input) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  const TensorView d_packed = rows.Of(AsRows(d.d_packed));
  if (gated()) {
    RETURN_IF_ERROR(context.backend->elementwise().LogSigmoidGateBackward(
        DecayColumns(rows.Of(AsRows(tape.packed))), decay_bias_,
        kGateNormalizer, rows.Of(AsRows(d.d_log_gate)), DecayColumns(d_packed),
        decay_bias_gradient_, *context.stream));
  }
  return project_in_.Backward(context, input,
                              d_packed.Slice(1, 0, widths_.used()),
                              Write::kReplace, d_input);
}

absl::Status LinearAttentionLayer::RecurBackwardAlone(
    const RankContext& context, const LayerPass& pass, const Tape& tape,
    const Gradients& d, TensorView workspace) const {
  return context.backend->linear_attention().Gradients(
      Operands(pass, tape), ConstTensorView(), {d.d_o, ConstTensorView()},
      ChunkTerms::kAll, OperandGradients(d), workspace, *context.stream);
}

absl::Status LinearAttentionLayer::RecurBackwardInGang(
    const RankContext& context, const LayerPass& pass, const Tape& tape,
    const Gradients& d, TensorView workspace) const {
  kernels::LinearAttention& op = context.backend->linear_attention();
  kernels::Stream& stream = *context.stream;
  const LinearAttentionInputs operands = Operands(pass, tape);
  const kernels::LinearAttentionGradients d_operands = OperandGradients(d);
  const MemoryShape m = Memory(pass);
  const TensorView gathered = context.arena->Allocate(
      "gathered", context.accumulator(), {context.ranks(), m.state_count()});
  const TensorView d_leaving =
      context.arena->Allocate("d_leaving", context.accumulator(),
                              {m.batch, m.heads, m.key_dim, m.value_dim});
  const bool last = context.rank() == context.ranks() - 1;

  // What this range's outputs want of the state that entered it.
  StateExchange exchange(context, layer_, m, gathered);
  RETURN_IF_ERROR(op.SummariseBackward(operands, d.d_o, exchange.own_state(),
                                       workspace, stream));
  RETURN_IF_ERROR(exchange.Start(Direction::kBackward));

  // Meanwhile, everything that needs no other rank.
  RETURN_IF_ERROR(
      op.Gradients(operands, tape.entering, {d.d_o, ConstTensorView()},
                   last ? ChunkTerms::kAll : ChunkTerms::kIntraChunk,
                   d_operands, workspace, stream));

  // What later ranks want of the state that leaves this one.
  RETURN_IF_ERROR(exchange.Wait());
  if (last) return absl::OkStatus();
  RETURN_IF_ERROR(exchange.FoldAfter(tape.decays, d_leaving));
  return op.Gradients(operands, tape.entering, {d.d_o, d_leaving},
                      ChunkTerms::kInterChunk, d_operands, workspace, stream);
}

// ---- Sizes -----------------------------------------------------------------

int64_t LinearAttentionLayer::WorkspaceBytes(const RankContext& context,
                                             const LayerPass& pass,
                                             LinearAttentionStage stage) const {
  return kernels::LinearAttentionWorkspaceBytes(
      stage,
      {pass.shard->batch(), pass.shard->tokens(), spec_.heads, spec_.key_dim,
       spec_.value_dim, context.element_bytes()},
      context.backend_kind, context.threads);
}

int64_t LinearAttentionLayer::ForwardWorkspaceBytes(
    const RankContext& context, const LayerPass& pass) const {
  const int64_t outputs =
      WorkspaceBytes(context, pass, LinearAttentionStage::kOutputs);
  if (context.ranks() == 1) return outputs;
  return std::max(
      outputs, WorkspaceBytes(context, pass, LinearAttentionStage::kSummarise));
}

int64_t LinearAttentionLayer::BackwardWorkspaceBytes(
    const RankContext& context, const LayerPass& pass) const {
  int64_t bytes =
      WorkspaceBytes(context, pass, LinearAttentionStage::kGradients);
  if (context.ranks() > 1) {
    bytes = std::max(bytes,
                     WorkspaceBytes(context, pass,
                                    LinearAttentionStage::kSummariseBackward));
  }
  if (qkv_.convolves()) {
    bytes = std::max(
        bytes, kernels::ShortConvolutionBackwardWorkspaceBytes(
                   pass.shard->batch(), pass.shard->tokens(), widths_.mixed(),
                   spec_.short_convolution, context.element_bytes(),
                   context.backend_kind, context.threads));
  }
  return bytes;
}

}  // namespace longspan::worker
