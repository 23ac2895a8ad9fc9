#include "worker/model/heads_output.h"

#include "common/base/status_macros.h"
#include "common/model_spec/linear_layer_names.h"
#include "kernels/cost/workspace.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

}  // namespace

HeadsOutput::HeadsOutput(const ModelSpec& spec, const std::string& prefix,
                         const Parameters& parameters)
    : heads_(spec.linear.heads),
      value_dim_(spec.linear.value_dim),
      norm_size_(OutputNormSize(spec.linear)),
      form_(FormOf(spec.linear)),
      widths_(LinearProjectionWidths(spec.linear)) {
  if (form_.output == OutputStage::kPlain) return;
  const LinearLayerNames names = NamesOf(spec.linear);
  const std::string norm = prefix + names.output_norm;
  norm_ = Norm(parameters.Value(norm), parameters.Gradient(norm),
               spec.norm_epsilon);
  if (!gates_last()) return;
  const std::string gate = prefix + names.output_gate_expansion;
  expand_ = LinearWeight(parameters.Compute(gate + ".weight"),
                         parameters.Gradient(gate + ".weight"));
  bias_ = parameters.Value(gate + ".bias");
  bias_gradient_ = parameters.Gradient(gate + ".bias");
}

void HeadsOutput::AllocateTape(const RankContext& context,
                               const LayerPass& pass,
                               LinearAttentionTape& tape) const {
  if (form_.output == OutputStage::kPlain) return;
  const int64_t rows = pass.shard->batch() * pass.shard->tokens();
  const auto take = [&](const char* name) {
    return context.arena->Allocate(name, context.dtype, {rows, widths_.value});
  };
  const kernels::DType wide = context.accumulator();
  tape.o_rstd =
      whole() ? context.arena->Allocate("o_rstd", wide, {norm_count(), rows})
              : context.arena->Allocate("o_rstd", wide, {rows, heads_});
  tape.normed = take("normed");
  if (gates_first() || gates_last()) tape.gated = take("gated");
  if (gates_last()) tape.gate_values = take("gate_values");
}

Norm HeadsOutput::NormAt(int64_t i) const {
  return whole() ? norm_.Part(i * norm_size_, norm_size_) : norm_;
}

TensorView HeadsOutput::Grouped(TensorView rows, int64_t i) const {
  return whole() ? rows.Slice(1, i * norm_size_, (i + 1) * norm_size_)
                 : rows.SplitLast(heads_);
}

TensorView HeadsOutput::RstdAt(RowRange rows, const LinearAttentionTape& tape,
                               int64_t i) const {
  if (!whole()) return rows.Of(tape.o_rstd);
  return rows.Of(tape.o_rstd.Slice(0, i, i + 1).Reshape({tape.o_rstd.size(1)}));
}

TensorView HeadsOutput::Gate(RowRange rows, TensorView packed) const {
  if (widths_.gate == 0) return TensorView();
  return rows.Of(AsRows(packed))
      .Slice(1, widths_.gate_at, widths_.gate_at + widths_.gate);
}

TensorView HeadsOutput::InnerGate(RowRange rows, TensorView packed) const {
  const bool inner = widths_.gate > 0 && !gates_first() && !gates_last();
  return inner ? Grouped(Gate(rows, packed), 0) : TensorView();
}

TensorView HeadsOutput::NormInput(RowRange rows,
                                  const LinearAttentionTape& tape) const {
  return rows.Of(gates_first() ? tape.gated : AsRows(tape.o));
}

TensorView HeadsOutput::Result(RowRange rows,
                               const LinearAttentionTape& tape) const {
  if (form_.output == OutputStage::kPlain) return rows.Of(AsRows(tape.o));
  return rows.Of(gates_last() ? tape.gated : tape.normed);
}

kernels::SigmoidProductInputs HeadsOutput::LastGate(
    RowRange rows, const LinearAttentionTape& tape) const {
  return {rows.Of(tape.normed), rows.Of(tape.gate_values), bias_};
}

// ---- Forward ---------------------------------------------------------------

absl::Status HeadsOutput::Forward(const RankContext& context, RowRange rows,
                                  const LinearAttentionTape& tape) const {
  if (form_.output == OutputStage::kPlain) return absl::OkStatus();
  if (gates_first()) {
    RETURN_IF_ERROR(context.backend->elementwise().SwiGlu(
        Gate(rows, tape.packed), rows.Of(AsRows(tape.o)), rows.Of(tape.gated),
        *context.stream));
  }
  const TensorView normed = rows.Of(tape.normed);
  for (int64_t i = 0; i < norm_count(); ++i) {
    RETURN_IF_ERROR(
        NormAt(i).Forward(context, Grouped(NormInput(rows, tape), i),
                          InnerGate(rows, tape.packed), Grouped(normed, i),
                          RstdAt(rows, tape, i)));
  }
  if (!gates_last()) return absl::OkStatus();
  RETURN_IF_ERROR(expand_.Forward(context, Gate(rows, tape.packed),
                                  Write::kReplace, rows.Of(tape.gate_values)));
  return context.backend->token_gates().SigmoidProduct(
      LastGate(rows, tape), rows.Of(tape.gated), *context.stream);
}

// ---- Backward --------------------------------------------------------------

TensorView HeadsOutput::AllocateResultGradient(
    const RankContext& context, RowRange rows,
    const LinearAttentionLayerGradients& d) const {
  if (form_.output == OutputStage::kPlain) return rows.Of(AsRows(d.d_o));
  return context.arena->Allocate(gates_last() ? "d_gated" : "d_normed",
                                 context.dtype, {rows.size(), widths_.value});
}

absl::Status HeadsOutput::Backward(
    const RankContext& context, RowRange rows, const LinearAttentionTape& tape,
    TensorView d_result, const LinearAttentionLayerGradients& d) const {
  if (form_.output == OutputStage::kPlain) return absl::OkStatus();
  const TensorView workspace = context.arena->AllocateWorkspace(
      "head_norm_workspace",
      kernels::RmsNormBackwardWorkspaceBytes(
          rows.size() * widths_.value / norm_size_, norm_size_,
          context.element_bytes(), context.backend_kind, context.threads));
  const auto take = [&](const char* name) {
    return context.arena->Allocate(name, context.dtype,
                                   {rows.size(), widths_.value});
  };
  TensorView d_normed = d_result;
  if (gates_last()) {
    d_normed = take("d_normed");
    RETURN_IF_ERROR(
        LastGateBackward(context, rows, tape, d_result, d_normed, d));
  }
  const TensorView d_o = rows.Of(AsRows(d.d_o));
  const TensorView d_input = gates_first() ? take("d_gated") : d_o;
  for (int64_t i = 0; i < norm_count(); ++i) {
    RETURN_IF_ERROR(NormAt(i).Backward(
        context, Grouped(NormInput(rows, tape), i),
        InnerGate(rows, tape.packed), RstdAt(rows, tape, i),
        Grouped(d_normed, i),
        {.d_x = Grouped(d_input, i), .d_gate = InnerGate(rows, d.d_packed)},
        workspace));
  }
  if (!gates_first()) return absl::OkStatus();
  return context.backend->elementwise().SwiGluBackward(
      Gate(rows, tape.packed), rows.Of(AsRows(tape.o)), d_input,
      Gate(rows, d.d_packed), d_o, *context.stream);
}

absl::Status HeadsOutput::LastGateBackward(
    const RankContext& context, RowRange rows, const LinearAttentionTape& tape,
    ConstTensorView d_result, TensorView d_normed,
    const LinearAttentionLayerGradients& d) const {
  const TensorView d_gate_values = context.arena->Allocate(
      "d_gate_values", context.dtype, {rows.size(), widths_.value});
  RETURN_IF_ERROR(context.backend->token_gates().SigmoidProductBackward(
      LastGate(rows, tape), d_result, {d_normed, d_gate_values, bias_gradient_},
      *context.stream));
  return expand_.Backward(context, Gate(rows, tape.packed), d_gate_values,
                          Write::kReplace, Gate(rows, d.d_packed));
}

}  // namespace longspan::worker
