#include "worker/model/block.h"

#include <algorithm>
#include <string>

#include "common/base/status_macros.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/row_block.h"
#include "kernels/cost/workspace.h"
#include "worker/model/head_parallel_mixer.h"
#include "worker/model/linear_attention_layer.h"
#include "worker/model/softmax_attention_layer.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

Norm MakeNorm(const ModelSpec& spec, const std::string& name,
              const Parameters& parameters) {
  return Norm(parameters.Value(name), parameters.Gradient(name),
              spec.norm_epsilon);
}

std::unique_ptr<Mixer> MakeMixer(const ModelSpec& spec, int layer,
                                 const Parameters& parameters) {
  const LayerKind kind = LayerKindAt(spec, layer);
  if (HeadParallelMixer::Serves(parameters.context(), kind)) {
    return std::make_unique<HeadParallelMixer>(spec, layer, parameters);
  }
  if (kind == LayerKind::kLinear) {
    return std::make_unique<LinearAttentionLayer>(spec, layer, parameters);
  }
  return std::make_unique<SoftmaxAttentionLayer>(spec, layer, parameters);
}

TensorView AllocateLike(const char* name, const RankContext& context,
                        ConstTensorView x) {
  return context.arena->Allocate(name, context.dtype, {x.size(0), x.size(1)});
}

TensorView AllocateNormWorkspace(const RankContext& context,
                                 ConstTensorView x) {
  return context.arena->AllocateWorkspace(
      "norm_workspace", kernels::RmsNormBackwardWorkspaceBytes(
                            x.size(0), x.size(1), context.element_bytes(),
                            context.backend_kind, context.threads));
}

}  // namespace

Block::Block(const ModelSpec& spec, int layer, const Parameters& parameters)
    : hidden_size_(spec.hidden_size),
      mixer_norm_(
          MakeNorm(spec, LayerPrefix(layer) + "attn_norm.weight", parameters)),
      mixer_(MakeMixer(spec, layer, parameters)),
      mlp_norm_(
          MakeNorm(spec, LayerPrefix(layer) + "mlp_norm.weight", parameters)),
      mlp_(spec, LayerPrefix(layer) + "mlp", parameters) {}

BlockTape Block::AllocateTape(const RankContext& context,
                              const LayerPass& pass) const {
  Arena& arena = *context.arena;
  const int64_t rows = pass.shard->rows();
  const auto stream = [&](const char* name) {
    return arena.Allocate(name, context.dtype, {rows, hidden_size_});
  };
  BlockTape tape;
  tape.mixer_input = stream("mixer_input");
  tape.mixer_rstd = arena.Allocate("mixer_rstd", context.accumulator(), {rows});
  tape.mixer = mixer_->AllocateTape(context, pass);
  tape.middle = stream("middle");
  tape.mlp_input = stream("mlp_input");
  tape.mlp_rstd = arena.Allocate("mlp_rstd", context.accumulator(), {rows});
  tape.mlp = mlp_.AllocateTape(context, rows);
  return tape;
}

int64_t Block::RowBlock(const RankContext& context) const {
  return RowBlockSize(hidden_size_, context.backend_kind);
}

// ---- Forward ---------------------------------------------------------------

absl::Status Block::Forward(const RankContext& context, const LayerPass& pass,
                            ConstTensorView x, LayerState* state,
                            BlockTape& tape, TensorView z) {
  const int64_t count = x.size(0);
  const int64_t block = RowBlock(context);
  RETURN_IF_ERROR(mixer_->Prepare(context, pass, state, tape.mixer));
  for (int64_t row = 0; row < count; row += block) {
    RETURN_IF_ERROR(ProjectRows(
        context, pass, RowRange{row, std::min(row + block, count)}, x, tape));
  }
  RETURN_IF_ERROR(
      mixer_->Mix(context, pass, tape.mixer_input, state, tape.mixer));
  for (int64_t row = 0; row < count; row += block) {
    RETURN_IF_ERROR(OutputRows(
        context, RowRange{row, std::min(row + block, count)}, x, tape, z));
  }
  return absl::OkStatus();
}

// The mixer's projections of norm(x).
absl::Status Block::ProjectRows(const RankContext& context,
                                const LayerPass& pass, RowRange rows,
                                ConstTensorView x, BlockTape& tape) {
  const TensorView input = rows.Of(tape.mixer_input);
  RETURN_IF_ERROR(mixer_norm_.Forward(context, rows.Of(x), ConstTensorView(),
                                      input, rows.Of(tape.mixer_rstd)));
  return mixer_->Project(context, pass, rows, input, tape.mixer);
}

// y = x + mixer output, z = y + mlp(norm(y)).
absl::Status Block::OutputRows(const RankContext& context, RowRange rows,
                               ConstTensorView x, BlockTape& tape,
                               TensorView z) {
  kernels::Elementwise& elementwise = context.backend->elementwise();
  const TensorView y = rows.Of(tape.middle);
  const TensorView input = rows.Of(tape.mlp_input);
  RETURN_IF_ERROR(elementwise.Copy(rows.Of(x), y, *context.stream));
  RETURN_IF_ERROR(mixer_->Output(context, rows, tape.mixer, y));
  RETURN_IF_ERROR(mlp_norm_.Forward(context, y, ConstTensorView(), input,
                                    rows.Of(tape.mlp_rstd)));
  RETURN_IF_ERROR(elementwise.Copy(y, rows.Of(z), *context.stream));
  return mlp_.Forward(context, input, RowsOf(rows, tape.mlp), rows.Of(z));
}

// ---- Backward --------------------------------------------------------------

absl::Status Block::Backward(const RankContext& context, const LayerPass& pass,
                             ConstTensorView x, BlockTape& tape, TensorView d) {
  const ArenaScope scratch(*context.arena);
  const int64_t count = x.size(0);
  const int64_t block = RowBlock(context);
  MixerGradients gradients = mixer_->AllocateGradients(context, pass);
  for (int64_t row = 0; row < count; row += block) {
    RETURN_IF_ERROR(
        OutputRowsBackward(context, RowRange{row, std::min(row + block, count)},
                           tape, gradients, d));
  }
  RETURN_IF_ERROR(mixer_->MixBackward(context, pass, tape.mixer_input, d,
                                      tape.mixer, gradients));
  for (int64_t row = 0; row < count; row += block) {
    RETURN_IF_ERROR(ProjectRowsBackward(
        context, RowRange{row, std::min(row + block, count)}, x, tape,
        gradients, d));
  }
  return absl::OkStatus();
}

// d_y = d_z + norm'(mlp'(d_z)), then the mixer's output.
absl::Status Block::OutputRowsBackward(const RankContext& context,
                                       RowRange rows, BlockTape& tape,
                                       MixerGradients& gradients,
                                       TensorView d) {
  const ArenaScope scratch(*context.arena);
  const TensorView d_rows = rows.Of(d);
  const TensorView d_input = AllocateLike("d_input", context, d_rows);
  const TensorView workspace = AllocateNormWorkspace(context, d_rows);
  RETURN_IF_ERROR(mlp_.Backward(context, rows.Of(tape.mlp_input), d_rows,
                                RowsOf(rows, tape.mlp), d_input));
  RETURN_IF_ERROR(mlp_norm_.Backward(
      context, rows.Of(tape.middle), ConstTensorView(), rows.Of(tape.mlp_rstd),
      d_input, {.d_x = d_rows, .d_gate = {}, .accumulate = true}, workspace));
  return mixer_->OutputBackward(context, rows, d_rows, tape.mixer, gradients);
}

// d_x = d_y + norm'(mixer'(d_y)).
absl::Status Block::ProjectRowsBackward(const RankContext& context,
                                        RowRange rows, ConstTensorView x,
                                        BlockTape& tape,
                                        MixerGradients& gradients,
                                        TensorView d) {
  const ArenaScope scratch(*context.arena);
  const TensorView d_rows = rows.Of(d);
  const TensorView d_input = AllocateLike("d_input", context, d_rows);
  const TensorView workspace = AllocateNormWorkspace(context, d_rows);
  RETURN_IF_ERROR(mixer_->ProjectBackward(context, rows,
                                          rows.Of(tape.mixer_input), tape.mixer,
                                          gradients, d_input));
  return mixer_norm_.Backward(
      context, rows.Of(x), ConstTensorView(), rows.Of(tape.mixer_rstd), d_input,
      {.d_x = d_rows, .d_gate = {}, .accumulate = true}, workspace);
}

}  // namespace longspan::worker
