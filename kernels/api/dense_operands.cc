#include "kernels/api/dense_operands.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {
namespace {

// Ids in [0, limit), or, where `skip_negative`, below limit.
absl::Status CheckIds(const char* op, const char* name, ConstTensorView ids,
                      int64_t limit, bool skip_negative) {
  const int32_t* id = ids.data_as<int32_t>();
  for (int64_t i = 0; i < ids.size(0); ++i) {
    if (id[i] < limit && (id[i] >= 0 || skip_negative)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(op, ": ", name, "[", i, "] is ", id[i],
                     ", outside the vocabulary [0, ", limit, ")"));
  }
  return absl::OkStatus();
}

absl::Status CheckTableRows(OperandCheck& check, ConstTensorView ids,
                            ConstTensorView table, ConstTensorView rows) {
  check.Type("ids", ids, DType::kI32).Rank("ids", ids, 1);
  check.Contiguous("ids", ids);
  check.Floating("table", table).Rank("table", table, 2);
  check.Floating("rows", rows);
  RETURN_IF_ERROR(check.status());
  RETURN_IF_ERROR(
      check.Shape("rows", rows, {ids.size(0), table.size(1)}).status());
  if (!check.rules().readable) return absl::OkStatus();
  return CheckIds("Embed", "ids", ids, table.size(0), false);
}

}  // namespace

absl::Status CheckMatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                         const MatMulOptions& options,
                         const OperandRules& rules) {
  OperandCheck check("MatMul", rules);
  check.Floating("a", a).Floating("b", b).Floating("c", c);
  check.Rank("a", a, 2).Rank("b", b, 2).Rank("c", c, 2);
  check.Type("b", b, a.dtype());
  if (c.dtype() != AccumulatorOf(a.dtype())) check.Type("c", c, a.dtype());
  RETURN_IF_ERROR(check.status());
  const int64_t rows = a.size(options.transpose_a ? 1 : 0);
  const int64_t inner = a.size(options.transpose_a ? 0 : 1);
  const int64_t columns = b.size(options.transpose_b ? 0 : 1);
  if (options.transpose_b) {
    check.Shape("transposed b", b, {columns, inner});
  } else {
    check.Shape("b", b, {inner, columns});
  }
  return check.Shape("c", c, {rows, columns}).status();
}

absl::Status CheckEmbed(ConstTensorView ids, ConstTensorView table,
                        ConstTensorView rows, const OperandRules& rules) {
  OperandCheck check("Embed", rules);
  if (table.dtype() != AccumulatorOf(rows.dtype())) {
    check.Floating("table", table).Type("rows", rows, table.dtype());
  }
  return CheckTableRows(check, ids, table, rows);
}

absl::Status CheckEmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                                TensorView d_table, const OperandRules& rules) {
  OperandCheck check("EmbedBackward", rules);
  check.Floating("d_out", d_out);
  check.Type("d_table", d_table, AccumulatorOf(d_out.dtype()));
  return CheckTableRows(check, ids, d_table, d_out);
}

absl::Status CheckCrossEntropy(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               const CrossEntropyGradients* gradients,
                               const OperandRules& rules) {
  OperandCheck check("CrossEntropy", rules);
  const ConstTensorView& hidden = inputs.hidden;
  const ConstTensorView& weight = inputs.weight;
  check.Floating("hidden", hidden).Rank("hidden", hidden, 2);
  check.Floating("weight", weight).Rank("weight", weight, 2);
  check.Type("weight", weight, hidden.dtype());
  RETURN_IF_ERROR(check.status());
  const int64_t rows = hidden.size(0);
  const DType sums = AccumulatorOf(hidden.dtype());
  check.Shape("weight", weight, {weight.size(0), hidden.size(1)});
  check.That(weight.size(0) > 0, "weight has no rows, so no vocabulary");
  check.Dense("targets", inputs.targets, DType::kI32, {rows});
  if (!inputs.token_weights.is_null()) {
    check.Dense("token_weights", inputs.token_weights, sums, {rows});
  }
  check.Dense("loss", outputs.loss, DType::kF64, {1});
  if (!outputs.nll.is_null()) {
    check.Dense("nll", outputs.nll, sums, {rows});
  }
  if (gradients != nullptr) {
    check.Dense("grad_scale", gradients->grad_scale, DType::kF32, {1});
    check.Like("d_hidden", gradients->d_hidden, hidden);
    check.AccumulatorLike("d_weight", gradients->d_weight, weight);
  }
  RETURN_IF_ERROR(check.status());
  if (!rules.readable) return absl::OkStatus();
  return CheckIds("CrossEntropy", "targets", inputs.targets, weight.size(0),
                  true);
}

}  // namespace longspan::kernels
