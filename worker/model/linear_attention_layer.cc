#include "worker/model/linear_attention_layer.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model_spec/parameter_layout.h"
#include "kernels/cost/workspace.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

std::string Prefix(int layer) {
  return absl::StrCat("model.layers.", layer, ".attn.");
}

LinearWeight InputProjection(const LinearAttentionSpec& spec, int layer,
                             const Parameters& parameters) {
  const std::string first = Prefix(layer) + "q_proj.weight";
  const std::string last = Prefix(layer) + LastInputProjection(spec);
  return LinearWeight(parameters.PackedCompute(first, last),
                      parameters.PackedGradient(first, last));
}

Norm OutputNorm(const ModelSpec& spec, int layer,
                const Parameters& parameters) {
  if (!FormOf(spec.linear).head_norm) return Norm();
  const std::string name = Prefix(layer) + HeadNormName(spec.linear);
  return Norm(parameters.Value(name), parameters.Gradient(name),
              spec.norm_epsilon);
}

// [B, n, C] contiguous as rows [M, C].
TensorView AsRows(TensorView x) {
  return x.Reshape({x.size(0) * x.size(1), x.size(2)});
}
// [B, n, H, D] contiguous as [M, H, D] and as [M, H D].
TensorView AsHeads(TensorView o) {
  return o.Reshape({o.size(0) * o.size(1), o.size(2), o.size(3)});
}
TensorView AsWideRows(TensorView o) {
  return o.Reshape({o.size(0) * o.size(1), o.size(2) * o.size(3)});
}

}  // namespace

LinearAttentionLayer::LinearAttentionLayer(const ModelSpec& spec, int layer,
                                           const Parameters& parameters)
    : spec_(spec.linear),
      form_(FormOf(spec.linear)),
      widths_(LinearProjectionWidths(spec.linear)),
      project_in_(InputProjection(spec.linear, layer, parameters)),
      qkv_(spec.linear, layer, Prefix(layer), parameters),
      gate_(spec.linear, Prefix(layer), parameters),
      strength_(spec.linear),
      recurrence_(spec.linear, layer, parameters),
      norm_(OutputNorm(spec, layer, parameters)),
      project_out_(parameters.Compute(Prefix(layer) + "o_proj.weight"),
                   parameters.Gradient(Prefix(layer) + "o_proj.weight")) {}

MixerTape LinearAttentionLayer::AllocateTape(const RankContext& context,
                                             const LayerPass& pass) const {
  const int64_t batch = pass.shard->batch();
  const int64_t tokens = pass.shard->tokens();
  const int64_t heads = spec_.heads;
  const auto take = [&](const char* name, int64_t columns) {
    if (columns == 0) return TensorView();
    return context.arena->Allocate(name, context.dtype,
                                   {batch, tokens, columns});
  };
  Tape tape;
  tape.packed = take("packed", widths_.stride());
  if (qkv_.convolves() && (context.ranks() > 1 || pass.carries_state)) {
    tape.halo = context.arena->Allocate(
        "halo", context.dtype,
        {batch, spec_.short_convolution - 1, widths_.convolved});
  }
  tape.convolved = take("convolved", widths_.convolved);
  tape.features = take("features", widths_.features);
  tape.values = take("values", widths_.sums);
  gate_.AllocateTape(context, pass, tape);
  tape.beta = strength_.Allocate("beta", context, pass);
  recurrence_.AllocateTape(context, pass, tape);
  if (form_.normalised) tape.sums = take("sums", widths_.sums).SplitLast(heads);
  tape.o = take("o", widths_.value).SplitLast(heads);
  if (!form_.head_norm) return tape;
  tape.o_rstd = context.arena->Allocate("o_rstd", context.accumulator(),
                                        {batch * tokens, heads});
  tape.normed = AsRows(take("normed", widths_.value));
  return tape;
}

TensorView LinearAttentionLayer::GateColumns(TensorView packed) const {
  if (widths_.gate == 0) return TensorView();
  return packed.Slice(1, widths_.mixed(), widths_.mixed() + widths_.gate)
      .SplitLast(spec_.heads);
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
  RETURN_IF_ERROR(gate_.Forward(context, rows, tape));
  return strength_.Forward(context, rows, tape);
}

absl::Status LinearAttentionLayer::Mix(const RankContext& context,
                                       const LayerPass& pass, LayerState* state,
                                       MixerTape& mixer_tape) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const ArenaScope scratch(*context.arena);
  RETURN_IF_ERROR(qkv_.Forward(context, pass, state, tape));
  const QkvViews qkv =
      qkv_.Views({tape.packed, tape.convolved, tape.features, tape.values});
  RETURN_IF_ERROR(recurrence_.Forward(context, pass, state, qkv, tape));
  if (!form_.normalised) return absl::OkStatus();
  return context.backend->feature_maps().Normalise(
      AsHeads(tape.sums), form_.normaliser_epsilon, AsHeads(tape.o),
      *context.stream);
}

absl::Status LinearAttentionLayer::Output(const RankContext& context,
                                          RowRange rows, MixerTape& mixer_tape,
                                          TensorView residual) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  if (!form_.head_norm) {
    return project_out_.Forward(context, rows.Of(AsWideRows(tape.o)),
                                Write::kAdd, residual);
  }
  const TensorView normed = rows.Of(tape.normed);
  RETURN_IF_ERROR(norm_.Forward(context, rows.Of(AsHeads(tape.o)),
                                GateColumns(rows.Of(AsRows(tape.packed))),
                                normed.SplitLast(spec_.heads),
                                rows.Of(tape.o_rstd)));
  return project_out_.Forward(context, normed, Write::kAdd, residual);
}

// ---- Backward --------------------------------------------------------------

MixerGradients LinearAttentionLayer::AllocateGradients(
    const RankContext& context, const LayerPass& pass) const {
  const int64_t batch = pass.shard->batch();
  const int64_t tokens = pass.shard->tokens();
  const auto take = [&](const char* name, int64_t columns) {
    if (columns == 0) return TensorView();
    return context.arena->Allocate(name, context.dtype,
                                   {batch, tokens, columns});
  };
  Gradients d;
  d.d_o = take("d_o", widths_.value).SplitLast(spec_.heads);
  d.d_packed = take("d_packed", widths_.stride());
  d.d_convolved = take("d_convolved", widths_.convolved);
  d.d_features = take("d_features", widths_.features);
  d.d_values = take("d_values", widths_.sums);
  if (form_.normalised) {
    d.d_sums = take("d_sums", widths_.sums).SplitLast(spec_.heads);
  }
  d.d_log_gate = gate_.AllocateLogGate("d_log_gate", context, pass);
  d.d_beta = strength_.Allocate("d_beta", context, pass);
  return d;
}

absl::Status LinearAttentionLayer::OutputBackward(
    const RankContext& context, RowRange rows, ConstTensorView d_output,
    MixerTape& mixer_tape, MixerGradients& mixer_gradients) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  if (form_.head_norm) return NormBackward(context, rows, d_output, tape, d);
  return project_out_.Backward(context, rows.Of(AsWideRows(tape.o)), d_output,
                               Write::kReplace, rows.Of(AsWideRows(d.d_o)));
}

absl::Status LinearAttentionLayer::NormBackward(const RankContext& context,
                                                RowRange rows,
                                                ConstTensorView d_output,
                                                const Tape& tape,
                                                const Gradients& d) const {
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
  const QkvBuffers d_buffers = {d.d_packed, d.d_convolved, d.d_features,
                                d.d_values};
  const ArenaScope scratch(*context.arena);
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", std::max(recurrence_.BackwardWorkspaceBytes(context, pass),
                            qkv_.BackwardWorkspaceBytes(context, pass)));
  if (form_.normalised) {
    RETURN_IF_ERROR(context.backend->feature_maps().NormaliseBackward(
        AsHeads(tape.sums), form_.normaliser_epsilon, AsHeads(d.d_o),
        AsHeads(d.d_sums), *context.stream));
  }
  RETURN_IF_ERROR(recurrence_.Backward(
      context, pass,
      qkv_.Views({tape.packed, tape.convolved, tape.features, tape.values}),
      tape, d, qkv_.Views(d_buffers), workspace));
  return qkv_.Backward(context, pass, tape, d_buffers, workspace);
}

absl::Status LinearAttentionLayer::ProjectBackward(
    const RankContext& context, RowRange rows, ConstTensorView input,
    MixerTape& mixer_tape, MixerGradients& mixer_gradients,
    TensorView d_input) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  const ArenaScope scratch(*context.arena);
  const TensorView d_packed = rows.Of(AsRows(d.d_packed));
  RETURN_IF_ERROR(gate_.Backward(context, rows, tape, d));
  RETURN_IF_ERROR(strength_.Backward(context, rows, tape, d));
  return project_in_.Backward(context, input,
                              d_packed.Slice(1, 0, widths_.used()),
                              Write::kReplace, d_input);
}

}  // namespace longspan::worker
