#include "worker/model/linear_attention_layer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/model_spec/linear_layer_names.h"
#include "common/model_spec/parameter_layout.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

std::string AttentionPrefix(int layer) { return LayerPrefix(layer) + "attn."; }

LinearWeight InputProjection(const LinearAttentionSpec& spec, int layer,
                             const Parameters& parameters) {
  const std::vector<NamedRows> matrices = InputProjections(spec);
  const std::string first = AttentionPrefix(layer) + matrices.front().name;
  const std::string last = AttentionPrefix(layer) + matrices.back().name;
  return LinearWeight(parameters.PackedCompute(first, last),
                      parameters.PackedGradient(first, last));
}

LinearWeight OutputProjection(const LinearAttentionSpec& spec, int layer,
                              const Parameters& parameters) {
  const std::string name = AttentionPrefix(layer) + NamesOf(spec).output;
  return LinearWeight(parameters.Compute(name), parameters.Gradient(name));
}

// [B, n, H, D] contiguous as [M, H, D].
TensorView AsHeads(TensorView o) {
  return o.Reshape({o.size(0) * o.size(1), o.size(2), o.size(3)});
}

}  // namespace

LinearAttentionLayer::LinearAttentionLayer(const ModelSpec& spec, int layer,
                                           const Parameters& parameters,
                                           std::vector<double> log_decays)
    : spec_(spec.linear),
      form_(FormOf(spec.linear)),
      widths_(LinearProjectionWidths(spec.linear)),
      project_in_(InputProjection(spec.linear, layer, parameters)),
      qkv_(spec.linear, layer, AttentionPrefix(layer), parameters),
      gate_(spec.linear, AttentionPrefix(layer), parameters),
      strength_(spec.linear),
      recurrence_(spec.linear, layer, parameters, std::move(log_decays)),
      heads_output_(spec, AttentionPrefix(layer), parameters),
      project_out_(OutputProjection(spec.linear, layer, parameters)) {}

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
        {pass.shard->part_count(), batch, spec_.short_convolution - 1,
         widths_.convolved});
  }
  tape.convolved = take("convolved", widths_.convolved);
  tape.features = take("features", widths_.features);
  tape.values = take("values", widths_.values);
  gate_.AllocateTape(context, pass, tape);
  tape.beta = strength_.Allocate("beta", context, pass);
  recurrence_.AllocateTape(context, pass, tape);
  if (form_.normalised) tape.sums = take("sums", widths_.sums).SplitLast(heads);
  tape.o = take("o", widths_.value).SplitLast(heads);
  heads_output_.AllocateTape(context, pass, tape);
  return tape;
}

LinearAttentionLayer::LinearAttentionLayer(const ModelSpec& spec, int layer,
                                           const Parameters& parameters)
    : LinearAttentionLayer(spec, layer, parameters,
                           LogDecays(spec.linear.mixer, spec.linear.heads)) {}

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
                                       const LayerPass& pass, ConstTensorView,
                                       LayerState* state,
                                       MixerTape& mixer_tape) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const ArenaScope scratch(*context.arena);
  RETURN_IF_ERROR(qkv_.Forward(context, pass, state, tape));
  const QkvViews qkv = qkv_.Views(BuffersOf(tape));
  RETURN_IF_ERROR(recurrence_.Forward(context, pass, state, qkv, tape));
  RETURN_IF_ERROR(qkv_.AddSkip(context, tape));
  if (!form_.normalised) return absl::OkStatus();
  return context.backend->feature_maps().Normalise(
      AsHeads(tape.sums), form_.normaliser_epsilon, AsHeads(tape.o),
      *context.stream);
}

absl::Status LinearAttentionLayer::Output(const RankContext& context,
                                          RowRange rows, MixerTape& mixer_tape,
                                          TensorView residual) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  RETURN_IF_ERROR(heads_output_.Forward(context, rows, tape));
  return project_out_.Forward(context, heads_output_.Result(rows, tape),
                              Write::kAdd, residual);
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
  d.d_values = take("d_values", widths_.values);
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
  const ArenaScope scratch(*context.arena);
  const TensorView d_result =
      heads_output_.AllocateResultGradient(context, rows, d);
  RETURN_IF_ERROR(project_out_.Backward(context,
                                        heads_output_.Result(rows, tape),
                                        d_output, Write::kReplace, d_result));
  return heads_output_.Backward(context, rows, tape, d_result, d);
}

absl::Status LinearAttentionLayer::MixBackward(
    const RankContext& context, const LayerPass& pass, ConstTensorView,
    ConstTensorView, MixerTape& mixer_tape, MixerGradients& mixer_gradients) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  const ArenaScope scratch(*context.arena);
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace", std::max(recurrence_.BackwardWorkspaceBytes(context, pass),
                            qkv_.BackwardWorkspaceBytes(context, pass)));
  if (form_.normalised) {
    RETURN_IF_ERROR(context.backend->feature_maps().NormaliseBackward(
        AsHeads(tape.sums), form_.normaliser_epsilon, AsHeads(d.d_o),
        AsHeads(d.d_sums), *context.stream));
  }
  RETURN_IF_ERROR(recurrence_.Backward(context, pass,
                                       qkv_.Views(BuffersOf(tape)), tape, d,
                                       qkv_.Views(BuffersOf(d)), workspace));
  return qkv_.Backward(context, pass, tape, d, workspace);
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
