#include "worker/model/mlp.h"

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

Mlp::Mlp(const ModelSpec& spec, const std::string& prefix,
         const Parameters& parameters)
    : intermediate_size_(spec.mlp.intermediate_size),
      gate_up_(parameters.PackedCompute(prefix + ".gate_proj.weight",
                                        prefix + ".up_proj.weight"),
               parameters.PackedGradient(prefix + ".gate_proj.weight",
                                         prefix + ".up_proj.weight")),
      down_(parameters.Compute(prefix + ".down_proj.weight"),
            parameters.Gradient(prefix + ".down_proj.weight")) {}

MlpTape Mlp::AllocateTape(const RankContext& context, int64_t rows) const {
  Arena& arena = *context.arena;
  MlpTape tape;
  tape.gate_up =
      arena.Allocate("gate_up", context.dtype, {rows, 2 * intermediate_size_});
  tape.hidden =
      arena.Allocate("mlp_hidden", context.dtype, {rows, intermediate_size_});
  return tape;
}

absl::Status Mlp::Forward(const RankContext& context, ConstTensorView x,
                          const MlpTape& tape, TensorView residual) const {
  const int64_t f = intermediate_size_;
  RETURN_IF_ERROR(gate_up_.Forward(context, x, Write::kReplace, tape.gate_up));
  RETURN_IF_ERROR(context.backend->elementwise().SwiGlu(
      tape.gate_up.Slice(1, 0, f), tape.gate_up.Slice(1, f, 2 * f), tape.hidden,
      *context.stream));
  return down_.Forward(context, tape.hidden, Write::kAdd, residual);
}

absl::Status Mlp::Backward(const RankContext& context, ConstTensorView x,
                           ConstTensorView d_y, const MlpTape& tape,
                           TensorView d_x) const {
  const int64_t f = intermediate_size_;
  const ArenaScope scratch(*context.arena);
  const TensorView d_hidden =
      context.arena->Allocate("d_hidden", context.dtype, {x.size(0), f});
  const TensorView d_gate_up =
      context.arena->Allocate("d_gate_up", context.dtype, {x.size(0), 2 * f});
  RETURN_IF_ERROR(
      down_.Backward(context, tape.hidden, d_y, Write::kReplace, d_hidden));
  RETURN_IF_ERROR(context.backend->elementwise().SwiGluBackward(
      tape.gate_up.Slice(1, 0, f), tape.gate_up.Slice(1, f, 2 * f), d_hidden,
      d_gate_up.Slice(1, 0, f), d_gate_up.Slice(1, f, 2 * f), *context.stream));
  return gate_up_.Backward(context, x, d_gate_up, Write::kReplace, d_x);
}

}  // namespace longspan::worker
