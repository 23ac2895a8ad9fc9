#include "worker/model/qkv_path.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/model_spec/linear_layer_names.h"
#include "kernels/cost/workspace.h"
#include "worker/model/row_range.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// Rotary base of retention's positions.
constexpr double kRotaryBase = 10000.0;

// The first and the second half of the columns of a view [..., C].
TensorView Half(TensorView x, int index) {
  const int last = x.rank() - 1;
  const int64_t size = x.size(last) / 2;
  return x.Slice(last, index * size, (index + 1) * size);
}

// Rows of one number.
TensorView AsVector(TensorView rows) {
  return rows.is_null() ? rows : rows.Reshape({rows.size(0)});
}

}  // namespace

QkvBuffers BuffersOf(const LinearAttentionTape& tape) {
  return {tape.packed, tape.convolved, tape.features, tape.values};
}

QkvBuffers BuffersOf(const LinearAttentionLayerGradients& d) {
  return {d.d_packed, d.d_convolved, d.d_features, d.d_values};
}

QkvPath::QkvPath(const LinearAttentionSpec& spec, int layer,
                 const std::string& prefix, const Parameters& parameters)
    : spec_(spec),
      form_(FormOf(spec)),
      widths_(LinearProjectionWidths(spec)),
      layer_(layer),
      feature_map_(spec, prefix, parameters),
      time_step_(spec, prefix, parameters) {
  if (spec.use_lower_bound && layer > 0) {  // the first layer's is 0
    lower_bounds_ = parameters.Value("model.lower_bounds");
    lower_bounds_gradient_ = parameters.Gradient("model.lower_bounds");
  }
  if (!convolves()) return;
  const std::vector<NamedRows> parts = Convolutions(spec);
  const std::string first = prefix + parts.front().name;
  const std::string last = prefix + parts.back().name;
  convolution_ = parameters.PackedValue(first, last);
  convolution_gradient_ = parameters.PackedGradient(first, last);
  const std::vector<NamedRows> biases = ConvolutionBiases(spec);
  if (biases.empty()) return;
  const std::string first_bias = prefix + biases.front().name;
  const std::string last_bias = prefix + biases.back().name;
  convolution_bias_ = AsVector(parameters.PackedValue(first_bias, last_bias));
  convolution_bias_gradient_ =
      AsVector(parameters.PackedGradient(first_bias, last_bias));
}

// ---- Where the numbers lie -------------------------------------------------

TensorView QkvPath::Columns(const QkvBuffers& buffers, int64_t at,
                            int64_t width) const {
  const int64_t place = at - widths_.convolved_at;
  const bool convolved = 0 <= place && place < widths_.convolved;
  return convolved ? buffers.convolved.Slice(2, place, place + width)
                   : buffers.packed.Slice(2, at, at + width);
}

TensorView QkvPath::Rows(const QkvBuffers& buffers, int64_t at,
                         int64_t width) const {
  const int64_t place = at - widths_.convolved_at;
  const bool convolved = 0 <= place && place < widths_.convolved;
  return convolved ? AsRows(buffers.convolved).Slice(1, place, place + width)
                   : AsRows(buffers.packed).Slice(1, at, at + width);
}

TensorView QkvPath::ValueHeads(const QkvBuffers& buffers) const {
  return Rows(buffers, widths_.v_at, widths_.value).SplitLast(spec_.heads);
}

QkvPath::KeyViews QkvPath::Keys(const QkvBuffers& buffers) const {
  if (!buffers.features.is_null()) {
    return {Half(buffers.features, 0), Half(buffers.features, 1)};
  }
  return {Columns(buffers, widths_.q_at, widths_.key),
          Columns(buffers, widths_.k_at, widths_.key)};
}

QkvViews QkvPath::Views(const QkvBuffers& buffers) const {
  const TensorView v = buffers.values.is_null()
                           ? Columns(buffers, widths_.v_at, widths_.value)
                           : buffers.values;
  const KeyViews keys = Keys(buffers);
  return {keys.q.SplitLast(spec_.key_heads), keys.k.SplitLast(spec_.key_heads),
          v.SplitLast(spec_.heads)};
}

// ---- Forward and backward --------------------------------------------------

absl::Status QkvPath::Forward(const RankContext& context, const LayerPass& pass,
                              LayerState* state,
                              const LinearAttentionTape& tape) {
  const QkvBuffers buffers = BuffersOf(tape);
  if (convolves()) {
    RETURN_IF_ERROR(Convolve(context, pass, state, tape));
  }
  if (feature_map_.exists()) RETURN_IF_ERROR(Map(context, tape));
  if (form_.rotary) {
    RETURN_IF_ERROR(Rotate(context, pass, buffers, /*inverse=*/false));
  }
  return widths_.values > 0 ? MakeValues(context, tape) : absl::OkStatus();
}

absl::Status QkvPath::Backward(const RankContext& context,
                               const LayerPass& pass,
                               const LinearAttentionTape& tape,
                               const LinearAttentionLayerGradients& d,
                               TensorView workspace) {
  const QkvBuffers buffers = BuffersOf(d);
  if (widths_.values > 0) RETURN_IF_ERROR(ValuesBackward(context, tape, d));
  if (form_.rotary) {
    RETURN_IF_ERROR(Rotate(context, pass, buffers, /*inverse=*/true));
  }
  if (feature_map_.exists()) {
    RETURN_IF_ERROR(MapBackward(context, tape, d, workspace));
  }
  if (!convolves()) return absl::OkStatus();
  return ConvolveBackward(context, pass, tape, buffers, workspace);
}

// ---- The feature map, and keys that hold the gate --------------------------

absl::Status QkvPath::Map(const RankContext& context,
                          const LinearAttentionTape& tape) const {
  const QkvBuffers buffers = BuffersOf(tape);
  const TensorView x = Rows(buffers, widths_.q_at, 2 * widths_.key);
  const TensorView y = AsRows(tape.features);
  if (form_.gate != DecayGateKind::kForget) {
    return feature_map_.Forward(context, x, y);
  }
  RETURN_IF_ERROR(context.backend->elementwise().Silu(Half(x, 0), Half(y, 0),
                                                      *context.stream));
  kernels::TokenGates& gates = context.backend->token_gates();
  const TensorView log_gate = AsRows(tape.log_gate);
  if (!lower_bounds_.is_null()) {
    return gates.BoundedForgetGate({Half(x, 1), lower_bounds_, layer_},
                                   log_gate, Half(y, 1), *context.stream);
  }
  return gates.ForgetGate(Half(x, 1), log_gate, Half(y, 1), *context.stream);
}

absl::Status QkvPath::MapBackward(const RankContext& context,
                                  const LinearAttentionTape& tape,
                                  const LinearAttentionLayerGradients& d,
                                  TensorView workspace) const {
  const TensorView x = Rows(BuffersOf(tape), widths_.q_at, 2 * widths_.key);
  const TensorView d_x = Rows(BuffersOf(d), widths_.q_at, 2 * widths_.key);
  const TensorView d_y = AsRows(d.d_features);
  if (form_.gate != DecayGateKind::kForget) {
    return feature_map_.Backward(context, x, d_y, d_x, workspace);
  }
  RETURN_IF_ERROR(context.backend->elementwise().SiluBackward(
      Half(x, 0), Half(d_y, 0), Half(d_x, 0), *context.stream));
  kernels::TokenGates& gates = context.backend->token_gates();
  const TensorView d_log_gate = AsRows(d.d_log_gate);
  if (!lower_bounds_.is_null()) {
    return gates.BoundedForgetGateBackward(
        {Half(x, 1), lower_bounds_, layer_}, d_log_gate, Half(d_y, 1),
        {Half(d_x, 1), lower_bounds_gradient_}, *context.stream);
  }
  return gates.ForgetGateBackward(Half(x, 1), d_log_gate, Half(d_y, 1),
                                  Half(d_x, 1), *context.stream);
}

absl::Status QkvPath::Rotate(const RankContext& context, const LayerPass& pass,
                             const QkvBuffers& buffers, bool inverse) const {
  const KeyViews keys = Keys(buffers);
  for (const TensorView& x : {keys.q, keys.k}) {
    const TensorView heads = x.SplitLast(spec_.key_heads);
    RETURN_IF_ERROR(context.backend->elementwise().Rotary(
        heads, pass.positions, kRotaryBase, inverse, heads, *context.stream));
  }
  return absl::OkStatus();
}

// ---- Values ----------------------------------------------------------------

absl::Status QkvPath::MakeValues(const RankContext& context,
                                 const LinearAttentionTape& tape) const {
  const TensorView v = ValueHeads(BuffersOf(tape));
  const TensorView made = AsRows(tape.values).SplitLast(spec_.heads);
  if (time_step_.exists()) {
    return time_step_.Forward(context, v, AsRows(tape.log_gate), made);
  }
  return context.backend->feature_maps().AppendOnes(v, made, *context.stream);
}

absl::Status QkvPath::ValuesBackward(
    const RankContext& context, const LinearAttentionTape& tape,
    const LinearAttentionLayerGradients& d) const {
  const TensorView d_v = ValueHeads(BuffersOf(d));
  const TensorView d_made = AsRows(d.d_values).SplitLast(spec_.heads);
  if (time_step_.exists()) {
    return time_step_.Backward(
        context, ValueHeads(BuffersOf(tape)), AsRows(tape.log_gate), d_made,
        AsRows(d.d_o).SplitLast(spec_.heads), d_v, AsRows(d.d_log_gate));
  }
  return context.backend->elementwise().Copy(
      d_made.Slice(2, 0, spec_.value_dim), d_v, *context.stream);
}

absl::Status QkvPath::AddSkip(const RankContext& context,
                              const LinearAttentionTape& tape) const {
  if (!time_step_.exists()) return absl::OkStatus();
  return time_step_.AddSkip(context, ValueHeads(BuffersOf(tape)),
                            AsRows(tape.o).SplitLast(spec_.heads));
}

// ---- The short convolution -------------------------------------------------

TensorView QkvPath::AllocateStaging(const RankContext& context,
                                    const LayerPass& pass) const {
  const int64_t tokens =
      HaloStagingTokens(spec_.short_convolution, context.ranks());
  if (tokens == 0) return TensorView();
  return context.arena->Allocate(
      "halo_staging", context.dtype,
      {pass.shard->part_count() * pass.shard->batch() * tokens *
       widths_.convolved});
}

TensorView QkvPath::ConvolutionColumns(TensorView packed) const {
  return packed.Slice(2, widths_.convolved_at,
                      widths_.convolved_at + widths_.convolved);
}

kernels::ShortConvolutionInputs QkvPath::ConvolutionInputs(
    const LayerPass& pass, const LinearAttentionTape& tape, int part) const {
  return {.x = pass.shard->parts()[part].Of(ConvolutionColumns(tape.packed)),
          .weight = convolution_,
          .halo = tape.halo.is_null() ? tape.halo : tape.halo.Select(0, part),
          .silu = form_.convolution_silu,
          .documents = pass.shard->parts()[part].documents(),
          .bias = convolution_bias_};
}

absl::Status QkvPath::Convolve(const RankContext& context,
                               const LayerPass& pass, LayerState* state,
                               const LinearAttentionTape& tape) {
  if (!tape.halo.is_null()) {
    const TensorView x = ConvolutionColumns(tape.packed);
    ConvolutionHalo halo(context, layer_, *pass.shard, spec_.short_convolution,
                         widths_.convolved, AllocateStaging(context, pass));
    RETURN_IF_ERROR(halo.StartForward(x));
    RETURN_IF_ERROR(halo.FinishForward(
        x, state == nullptr ? TensorView() : state->conv_tail, tape.halo));
    if (state != nullptr) {
      RETURN_IF_ERROR(halo.LeavingTail(x, tape.halo, state->conv_tail));
    }
  }
  for (int i = 0; i < pass.shard->part_count(); ++i) {
    RETURN_IF_ERROR(context.backend->short_convolution().Forward(
        ConvolutionInputs(pass, tape, i),
        pass.shard->parts()[i].Of(tape.convolved), *context.stream));
  }
  return absl::OkStatus();
}

absl::Status QkvPath::ConvolveBackward(const RankContext& context,
                                       const LayerPass& pass,
                                       const LinearAttentionTape& tape,
                                       const QkvBuffers& d,
                                       TensorView workspace) {
  const TensorView d_x = ConvolutionColumns(d.packed);
  TensorView d_halo;
  if (!tape.halo.is_null()) {
    d_halo = context.arena->Allocate("d_halo", context.dtype,
                                     {tape.halo.size(0), tape.halo.size(1),
                                      tape.halo.size(2), tape.halo.size(3)});
  }
  for (int i = 0; i < pass.shard->part_count(); ++i) {
    const ShardPart& part = pass.shard->parts()[i];
    RETURN_IF_ERROR(context.backend->short_convolution().Backward(
        ConvolutionInputs(pass, tape, i), part.Of(d.convolved),
        {part.Of(d_x), convolution_gradient_,
         d_halo.is_null() ? d_halo : d_halo.Select(0, i),
         convolution_bias_gradient_},
        workspace, *context.stream));
  }
  if (d_halo.is_null()) return absl::OkStatus();
  ConvolutionHalo halo(context, layer_, *pass.shard, spec_.short_convolution,
                       widths_.convolved, AllocateStaging(context, pass));
  RETURN_IF_ERROR(halo.StartBackward(d_halo));
  return halo.FinishBackward(d_halo, d_x);
}

int64_t QkvPath::BackwardWorkspaceBytes(const RankContext& context,
                                        const LayerPass& pass) const {
  int64_t bytes =
      feature_map_.BackwardWorkspaceBytes(context, pass.shard->rows());
  if (!convolves()) return bytes;
  for (const ShardPart& part : pass.shard->parts()) {
    bytes = std::max(
        bytes, kernels::ShortConvolutionBackwardWorkspaceBytes(
                   pass.shard->batch(), part.range.size(), widths_.convolved,
                   ConvolutionParameters(spec_), context.element_bytes(),
                   context.backend_kind, context.threads));
  }
  return bytes;
}

}  // namespace longspan::worker
