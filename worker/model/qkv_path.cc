#include "worker/model/qkv_path.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// Rotary base of retention's positions.
constexpr double kRotaryBase = 10000.0;

QkvBuffers BuffersOf(const LinearAttentionTape& tape) {
  return {tape.packed, tape.convolved, tape.features, tape.values};
}

// [B, n, C] contiguous as rows [M, C].
TensorView AsRows(TensorView x) {
  return x.Reshape({x.size(0) * x.size(1), x.size(2)});
}

}  // namespace

QkvPath::QkvPath(const LinearAttentionSpec& spec, int layer,
                 const std::string& prefix, const Parameters& parameters)
    : spec_(spec),
      form_(FormOf(spec)),
      widths_(LinearProjectionWidths(spec)),
      layer_(layer),
      feature_map_(spec, prefix, parameters) {
  if (!convolves()) return;
  const std::string first = prefix + "q_conv1d.weight";
  const std::string last =
      prefix + (form_.convolves_values ? "v_conv1d.weight" : "k_conv1d.weight");
  convolution_ = parameters.PackedValue(first, last);
  convolution_gradient_ = parameters.PackedGradient(first, last);
}

QkvViews QkvPath::Views(const QkvBuffers& buffers) const {
  const int64_t key = widths_.key;
  const TensorView mixed =
      buffers.convolved.is_null() ? buffers.packed : buffers.convolved;
  const TensorView mapped = buffers.features.is_null()
                                ? mixed.Slice(2, 0, 2 * key)
                                : buffers.features;
  const int64_t half = mapped.size(2) / 2;
  return {mapped.Slice(2, 0, half).SplitLast(spec_.heads),
          mapped.Slice(2, half, 2 * half).SplitLast(spec_.heads),
          buffers.values.is_null() ? ValueBuffer(buffers)
                                         .Slice(2, 2 * key, widths_.mixed())
                                         .SplitLast(spec_.heads)
                                   : buffers.values.SplitLast(spec_.heads)};
}

TensorView QkvPath::ValueBuffer(const QkvBuffers& buffers) const {
  const bool convolved = !buffers.convolved.is_null() && form_.convolves_values;
  return convolved ? buffers.convolved : buffers.packed;
}

TensorView QkvPath::ValueHeads(TensorView rows) const {
  return rows.Slice(1, 2 * widths_.key, widths_.mixed()).SplitLast(spec_.heads);
}

TensorView QkvPath::MapInput(const QkvBuffers& buffers) const {
  const TensorView mixed =
      buffers.convolved.is_null() ? buffers.packed : buffers.convolved;
  return AsRows(mixed).Slice(1, 0, 2 * widths_.key);
}

absl::Status QkvPath::Forward(const RankContext& context, const LayerPass& pass,
                              LayerState* state,
                              const LinearAttentionTape& tape) {
  const QkvBuffers buffers = BuffersOf(tape);
  if (convolves()) {
    RETURN_IF_ERROR(Convolve(context, pass, state, tape));
  }
  if (feature_map_.exists()) {
    RETURN_IF_ERROR(feature_map_.Forward(context, MapInput(buffers),
                                         AsRows(tape.features)));
  }
  if (form_.rotary) {
    RETURN_IF_ERROR(Rotate(context, pass, Views(buffers), /*inverse=*/false));
  }
  if (!form_.normalised) return absl::OkStatus();
  return context.backend->feature_maps().AppendOnes(
      ValueHeads(AsRows(ValueBuffer(buffers))),
      AsRows(buffers.values).SplitLast(spec_.heads), *context.stream);
}

absl::Status QkvPath::Backward(const RankContext& context,
                               const LayerPass& pass,
                               const LinearAttentionTape& tape,
                               const QkvBuffers& d, TensorView workspace) {
  if (form_.normalised) {
    RETURN_IF_ERROR(context.backend->elementwise().Copy(
        AsRows(d.values).SplitLast(spec_.heads).Slice(2, 0, spec_.value_dim),
        ValueHeads(AsRows(ValueBuffer(d))), *context.stream));
  }
  if (form_.rotary) {
    RETURN_IF_ERROR(Rotate(context, pass, Views(d), /*inverse=*/true));
  }
  if (feature_map_.exists()) {
    RETURN_IF_ERROR(feature_map_.Backward(context, MapInput(BuffersOf(tape)),
                                          AsRows(d.features), MapInput(d),
                                          workspace));
  }
  if (!convolves()) return absl::OkStatus();
  return ConvolveBackward(context, pass, tape, d, workspace);
}

absl::Status QkvPath::Rotate(const RankContext& context, const LayerPass& pass,
                             const QkvViews& views, bool inverse) {
  kernels::Elementwise& elementwise = context.backend->elementwise();
  RETURN_IF_ERROR(elementwise.Rotary(views.q, pass.positions, kRotaryBase,
                                     inverse, views.q, *context.stream));
  return elementwise.Rotary(views.k, pass.positions, kRotaryBase, inverse,
                            views.k, *context.stream);
}

TensorView QkvPath::AllocateStaging(const RankContext& context,
                                    const LayerPass& pass) const {
  const int64_t tokens =
      HaloStagingTokens(spec_.short_convolution, context.ranks());
  if (tokens == 0) return TensorView();
  return context.arena->Allocate(
      "halo_staging", context.dtype,
      {pass.shard->batch() * tokens * widths_.convolved});
}

kernels::ShortConvolutionInputs QkvPath::ConvolutionInputs(
    const LayerPass& pass, const LinearAttentionTape& tape) const {
  return {.x = tape.packed.Slice(2, 0, widths_.convolved),
          .weight = convolution_,
          .halo = tape.halo,
          .silu = form_.convolution_silu,
          .documents = pass.shard->documents()};
}

absl::Status QkvPath::Convolve(const RankContext& context,
                               const LayerPass& pass, LayerState* state,
                               const LinearAttentionTape& tape) {
  const auto inputs = ConvolutionInputs(pass, tape);
  if (!tape.halo.is_null()) {
    ConvolutionHalo halo(context, layer_, *pass.shard, spec_.short_convolution,
                         widths_.convolved, AllocateStaging(context, pass));
    RETURN_IF_ERROR(halo.StartForward(inputs.x));
    RETURN_IF_ERROR(halo.FinishForward(
        state == nullptr ? TensorView() : state->conv_tail, tape.halo));
    if (state != nullptr) {
      RETURN_IF_ERROR(halo.LeavingTail(inputs.x, tape.halo, state->conv_tail));
    }
  }
  return context.backend->short_convolution().Forward(inputs, tape.convolved,
                                                      *context.stream);
}

absl::Status QkvPath::ConvolveBackward(const RankContext& context,
                                       const LayerPass& pass,
                                       const LinearAttentionTape& tape,
                                       const QkvBuffers& d,
                                       TensorView workspace) {
  const auto inputs = ConvolutionInputs(pass, tape);
  const TensorView d_x = d.packed.Slice(2, 0, widths_.convolved);
  TensorView d_halo;
  if (!tape.halo.is_null()) {
    d_halo = context.arena->Allocate(
        "d_halo", context.dtype,
        {tape.halo.size(0), tape.halo.size(1), tape.halo.size(2)});
  }
  RETURN_IF_ERROR(context.backend->short_convolution().Backward(
      inputs, d.convolved, {d_x, convolution_gradient_, d_halo}, workspace,
      *context.stream));
  if (d_halo.is_null()) return absl::OkStatus();
  ConvolutionHalo halo(context, layer_, *pass.shard, spec_.short_convolution,
                       widths_.convolved, AllocateStaging(context, pass));
  RETURN_IF_ERROR(halo.StartBackward(d_halo));
  return halo.FinishBackward(d_x);
}

int64_t QkvPath::BackwardWorkspaceBytes(const RankContext& context,
                                        const LayerPass& pass) const {
  const int64_t batch = pass.shard->batch();
  const int64_t tokens = pass.shard->tokens();
  const int64_t map =
      feature_map_.BackwardWorkspaceBytes(context, batch * tokens);
  if (!convolves()) return map;
  return std::max(
      map, kernels::ShortConvolutionBackwardWorkspaceBytes(
               batch, tokens, widths_.convolved, spec_.short_convolution,
               context.element_bytes(), context.backend_kind, context.threads));
}

}  // namespace longspan::worker
