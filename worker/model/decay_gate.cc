#include "worker/model/decay_gate.h"

#include "common/base/status_macros.h"
#include "common/model_spec/linear_layer_names.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

}  // namespace

DecayGate::DecayGate(const LinearAttentionSpec& spec, const std::string& prefix,
                     const Parameters& parameters)
    : heads_(spec.heads),
      form_(FormOf(spec)),
      widths_(LinearProjectionWidths(spec)) {
  if (!exists()) return;
  const LinearLayerNames names = NamesOf(spec);
  if (expands()) {
    const std::string weight = prefix + names.gate_expansion;
    expand_ =
        LinearWeight(parameters.Compute(weight), parameters.Gradient(weight));
  }
  bias_ = parameters.Value(prefix + names.gate_bias);
  bias_gradient_ = parameters.Gradient(prefix + names.gate_bias);
  if (!softplus()) return;
  a_log_ = parameters.Value(prefix + "A_log");
  a_log_gradient_ = parameters.Gradient(prefix + "A_log");
}

TensorView DecayGate::AllocateLogGate(const char* name,
                                      const RankContext& context,
                                      const LayerPass& pass) const {
  if (widths_.log_gate == 0) return TensorView();
  const TensorView gate = context.arena->Allocate(
      name, context.accumulator(),
      {pass.shard->batch(), pass.shard->tokens(), widths_.log_gate});
  const bool per_channel = form_.decay == StateDecay::kPerChannel;
  return per_channel ? gate.SplitLast(heads_) : gate;
}

void DecayGate::AllocateTape(const RankContext& context, const LayerPass& pass,
                             LinearAttentionTape& tape) const {
  if (expands()) {
    tape.gate_logits = context.arena->Allocate(
        "gate_logits", context.dtype,
        {pass.shard->batch(), pass.shard->tokens(), widths_.log_gate});
  }
  tape.log_gate = AllocateLogGate("log_gate", context, pass);
}

TensorView DecayGate::DecayColumns(TensorView packed) const {
  return packed.Slice(1, widths_.decay_at, widths_.decay_at + widths_.decay);
}

TensorView DecayGate::Logits(RowRange rows,
                             const LinearAttentionTape& tape) const {
  return expands() ? rows.Of(AsRows(tape.gate_logits))
                   : DecayColumns(rows.Of(AsRows(tape.packed)));
}

absl::Status DecayGate::Forward(const RankContext& context, RowRange rows,
                                const LinearAttentionTape& tape) const {
  if (!exists()) return absl::OkStatus();
  const TensorView logits = Logits(rows, tape);
  if (expands()) {
    RETURN_IF_ERROR(expand_.Forward(context,
                                    DecayColumns(rows.Of(AsRows(tape.packed))),
                                    Write::kReplace, logits));
  }
  return Activate(context, logits, rows.Of(AsRows(tape.log_gate)));
}

absl::Status DecayGate::Activate(const RankContext& context,
                                 ConstTensorView logits,
                                 TensorView log_gate) const {
  if (softplus()) {
    return context.backend->token_gates().SoftplusGate(
        {logits, bias_, a_log_}, log_gate, *context.stream);
  }
  return context.backend->elementwise().LogSigmoidGate(
      logits, bias_, kGateNormalizer, log_gate, *context.stream);
}

absl::Status DecayGate::ActivateBackward(const RankContext& context,
                                         ConstTensorView logits,
                                         ConstTensorView d_log_gate,
                                         TensorView d_logits) const {
  if (softplus()) {
    return context.backend->token_gates().SoftplusGateBackward(
        {logits, bias_, a_log_}, d_log_gate,
        {d_logits, bias_gradient_, a_log_gradient_}, *context.stream);
  }
  return context.backend->elementwise().LogSigmoidGateBackward(
      logits, bias_, kGateNormalizer, d_log_gate, d_logits, bias_gradient_,
      *context.stream);
}

absl::Status DecayGate::Backward(const RankContext& context, RowRange rows,
                                 const LinearAttentionTape& tape,
                                 const LinearAttentionLayerGradients& d) const {
  if (!exists()) return absl::OkStatus();
  const TensorView d_columns = DecayColumns(rows.Of(AsRows(d.d_packed)));
  TensorView d_logits = d_columns;
  if (expands()) {
    d_logits = context.arena->Allocate("d_gate_logits", context.dtype,
                                       {rows.size(), widths_.log_gate});
  }
  RETURN_IF_ERROR(ActivateBackward(context, Logits(rows, tape),
                                   rows.Of(AsRows(d.d_log_gate)), d_logits));
  if (!expands()) return absl::OkStatus();
  return expand_.Backward(context, DecayColumns(rows.Of(AsRows(tape.packed))),
                          d_logits, Write::kReplace, d_columns);
}

}  // namespace longspan::worker
