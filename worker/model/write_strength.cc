#include "worker/model/write_strength.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

}  // namespace

TensorView WriteStrength::Allocate(const char* name, const RankContext& context,
                                   const LayerPass& pass) const {
  if (!exists()) return TensorView();
  return context.arena->Allocate(
      name, context.accumulator(),
      {pass.shard->batch(), pass.shard->tokens(), widths_.beta});
}

TensorView WriteStrength::Columns(RowRange rows, TensorView packed) const {
  return rows.Of(AsRows(packed))
      .Slice(1, widths_.beta_at, widths_.beta_at + widths_.beta);
}

absl::Status WriteStrength::Forward(const RankContext& context, RowRange rows,
                                    const LinearAttentionTape& tape) const {
  if (!exists()) return absl::OkStatus();
  return context.backend->token_gates().Sigmoid(
      Columns(rows, tape.packed), limit_, rows.Of(AsRows(tape.beta)),
      *context.stream);
}

absl::Status WriteStrength::Backward(
    const RankContext& context, RowRange rows, const LinearAttentionTape& tape,
    const LinearAttentionLayerGradients& d) const {
  if (!exists()) return absl::OkStatus();
  return context.backend->token_gates().SigmoidBackward(
      Columns(rows, tape.packed), limit_, rows.Of(AsRows(d.d_beta)),
      Columns(rows, d.d_packed), *context.stream);
}

}  // namespace longspan::worker
