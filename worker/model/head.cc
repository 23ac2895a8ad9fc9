#include "worker/model/head.h"

#include "kernels/cost/workspace.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

TensorView AllocateWorkspace(const RankContext& context, int64_t rows,
                             ConstTensorView weight) {
  return context.arena->AllocateWorkspace(
      "workspace",
      kernels::CrossEntropyWorkspaceBytes(
          rows, weight.size(1), weight.size(0), context.element_bytes(),
          context.backend_kind, context.threads));
}

}  // namespace

absl::Status Head::Loss(const RankContext& context, const LossInput& input,
                        TensorView loss, TensorView nll) const {
  const ArenaScope scratch(*context.arena);
  return context.backend->cross_entropy().Forward(
      {input.hidden, weight_, input.targets, input.token_weights}, {loss, nll},
      AllocateWorkspace(context, input.hidden.size(0), weight_),
      *context.stream);
}

absl::Status Head::LossAndGradient(const RankContext& context,
                                   const LossInput& input,
                                   ConstTensorView grad_scale, TensorView loss,
                                   TensorView d_hidden) const {
  const ArenaScope scratch(*context.arena);
  return context.backend->cross_entropy().ForwardBackward(
      {input.hidden, weight_, input.targets, input.token_weights},
      {loss, TensorView()}, {grad_scale, d_hidden, gradient_},
      AllocateWorkspace(context, input.hidden.size(0), weight_),
      *context.stream);
}

absl::Status Head::Logits(const RankContext& context, ConstTensorView hidden,
                          TensorView logits) const {
  return context.backend->dense().MatMul(
      hidden, weight_, logits, {.transpose_b = true}, *context.stream);
}

}  // namespace longspan::worker
