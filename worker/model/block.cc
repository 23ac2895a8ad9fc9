#include "worker/model/block.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"
#include "worker/model/linear_attention_layer.h"
#include "worker/model/softmax_attention_layer.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

std::string Prefix(int layer) {
  return absl::StrCat("model.layers.", layer, ".");
}

Norm MakeNorm(const ModelSpec& spec, const std::string& name,
              const Parameters& parameters) {
  return Norm(parameters.Value(name), parameters.Gradient(name),
              spec.norm_epsilon);
}

std::unique_ptr<Mixer> MakeMixer(const ModelSpec& spec, int layer,
                                 const Parameters& parameters) {
  if (LayerKindAt(spec, layer) == LayerKind::kLinear) {
    return std::make_unique<LinearAttentionLayer>(spec, layer, parameters);
  }
  return std::make_unique<SoftmaxAttentionLayer>(spec, layer, parameters);
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
          MakeNorm(spec, Prefix(layer) + "attn_norm.weight", parameters)),
      mixer_(MakeMixer(spec, layer, parameters)),
      mlp_norm_(MakeNorm(spec, Prefix(layer) + "mlp_norm.weight", parameters)),
      mlp_(spec, Prefix(layer) + "mlp", parameters) {}

BlockTape Block::AllocateTape(const RankContext& context,
                              const LayerPass& pass) const {
  Arena& arena = *context.arena;
  const int64_t rows = pass.shard->rows();
  const auto stream = [&](const char* name) {
    return arena.Allocate(name, context.dtype, {rows, hidden_size_});
  };
  BlockTape tape;
  tape.mixer_input = stream("mixer_input");
  tape.mixer_rstd = arena.Allocate("mixer_rstd", context.dtype, {rows});
  tape.mixer = mixer_->AllocateTape(context, pass);
  tape.middle = stream("middle");
  tape.mlp_input = stream("mlp_input");
  tape.mlp_rstd = arena.Allocate("mlp_rstd", context.dtype, {rows});
  tape.mlp = mlp_.AllocateTape(context, rows);
  return tape;
}

absl::Status Block::Forward(const RankContext& context, const LayerPass& pass,
                            ConstTensorView x, LayerState* state,
                            BlockTape& tape, TensorView z) {
  kernels::Elementwise& elementwise = context.backend->elementwise();
  // y = x + mixer(norm(x))
  RETURN_IF_ERROR(mixer_norm_.Forward(context, x, ConstTensorView(),
                                      tape.mixer_input, tape.mixer_rstd));
  RETURN_IF_ERROR(elementwise.Copy(x, tape.middle, *context.stream));
  RETURN_IF_ERROR(mixer_->Forward(context, pass, tape.mixer_input, state,
                                  tape.mixer, tape.middle));
  // z = y + mlp(norm(y))
  RETURN_IF_ERROR(mlp_norm_.Forward(context, tape.middle, ConstTensorView(),
                                    tape.mlp_input, tape.mlp_rstd));
  RETURN_IF_ERROR(elementwise.Copy(tape.middle, z, *context.stream));
  return mlp_.Forward(context, tape.mlp_input, tape.mlp, z);
}

absl::Status Block::Backward(const RankContext& context, const LayerPass& pass,
                             ConstTensorView x, BlockTape& tape, TensorView d) {
  RETURN_IF_ERROR(MlpBackward(context, tape, d));
  return MixerBackward(context, pass, x, tape, d);
}

// d_y = d_z + norm'(mlp'(d_z))
absl::Status Block::MlpBackward(const RankContext& context, BlockTape& tape,
                                TensorView d) {
  const ArenaScope scratch(*context.arena);
  const TensorView d_input =
      context.arena->Allocate("d_input", context.dtype, {d.size(0), d.size(1)});
  const TensorView workspace = AllocateNormWorkspace(context, d);
  RETURN_IF_ERROR(mlp_.Backward(context, tape.mlp_input, d, tape.mlp, d_input));
  return mlp_norm_.Backward(
      context, tape.middle, ConstTensorView(), tape.mlp_rstd, d_input,
      {.d_x = d, .d_gate = {}, .accumulate = true}, workspace);
}

// d_x = d_y + norm'(mixer'(d_y))
absl::Status Block::MixerBackward(const RankContext& context,
                                  const LayerPass& pass, ConstTensorView x,
                                  BlockTape& tape, TensorView d) {
  const ArenaScope scratch(*context.arena);
  const TensorView d_input =
      context.arena->Allocate("d_input", context.dtype, {d.size(0), d.size(1)});
  const TensorView workspace = AllocateNormWorkspace(context, d);
  RETURN_IF_ERROR(mixer_->Backward(context, pass, tape.mixer_input, d,
                                   tape.mixer, d_input));
  return mixer_norm_.Backward(
      context, x, ConstTensorView(), tape.mixer_rstd, d_input,
      {.d_x = d, .d_gate = {}, .accumulate = true}, workspace);
}

}  // namespace longspan::worker
