#include "kernels/api/softmax_attention_operands.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kMaxHeadDim = 512;

void CheckOperand(OperandCheck& check, const char* name,
                  const ConstTensorView& view, DType dtype,
                  std::initializer_list<int64_t> shape) {
  check.Floating(name, view).Type(name, view, dtype).Shape(name, view, shape);
}

void CheckQueryLike(OperandCheck& check, const char* name,
                    const ConstTensorView& view,
                    const SoftmaxAttentionSizes& sizes) {
  CheckOperand(check, name, view, sizes.dtype,
               {sizes.batch, sizes.query_tokens, sizes.heads, sizes.head_dim});
}

void CheckKeyLike(OperandCheck& check, const char* name,
                  const ConstTensorView& view,
                  const SoftmaxAttentionSizes& sizes) {
  CheckOperand(
      check, name, view, sizes.dtype,
      {sizes.batch, sizes.key_tokens, sizes.key_heads, sizes.head_dim});
}

void CheckLse(OperandCheck& check, const ConstTensorView& lse,
              const SoftmaxAttentionSizes& sizes) {
  CheckOperand(check, "lse", lse, AccumulatorOf(sizes.dtype),
               {sizes.batch, sizes.heads, sizes.query_tokens});
}

absl::Status CheckMask(const char* op, const SoftmaxAttentionInputs& inputs) {
  OperandCheck check(op);
  check.That(inputs.mask != AttentionMask::kWindow || inputs.window >= 1,
             absl::StrCat("window ", inputs.window, " must be at least 1"));
  check.That(inputs.query_offset >= 0,
             absl::StrCat("query_offset ", inputs.query_offset,
                          " must not be negative"));
  return check.status();
}

absl::Status CheckSizes(const char* op, const SoftmaxAttentionSizes& sizes) {
  OperandCheck check(op);
  check.That(sizes.query_tokens >= 1 && sizes.key_tokens >= 1,
             "needs at least 1 query and 1 key");
  check.That(1 <= sizes.head_dim && sizes.head_dim <= kMaxHeadDim,
             absl::StrCat("head dimension ", sizes.head_dim, " is outside [1, ",
                          kMaxHeadDim, "]"));
  check.That(sizes.key_heads >= 1 && sizes.heads % sizes.key_heads == 0,
             absl::StrCat(sizes.heads, " query heads are no multiple of ",
                          sizes.key_heads, " key heads"));
  return check.status();
}

absl::StatusOr<SoftmaxAttentionSizes> CheckInputs(
    const char* op, const OperandRules& rules,
    const SoftmaxAttentionInputs& inputs) {
  OperandCheck check(op, rules);
  check.Floating("q", inputs.q).Rank("q", inputs.q, 4);
  check.Floating("k", inputs.k).Rank("k", inputs.k, 4);
  RETURN_IF_ERROR(check.status());
  const SoftmaxAttentionSizes sizes = {
      inputs.q.dtype(), inputs.q.size(0), inputs.q.size(1), inputs.k.size(1),
      inputs.q.size(2), inputs.k.size(2), inputs.q.size(3)};
  RETURN_IF_ERROR(CheckSizes(op, sizes));
  CheckKeyLike(check, "k", inputs.k, sizes);
  CheckKeyLike(check, "v", inputs.v, sizes);
  RETURN_IF_ERROR(check.status());
  RETURN_IF_ERROR(CheckMask(op, inputs));
  RETURN_IF_ERROR(CheckDocuments(op, inputs.documents, sizes.batch,
                                 sizes.key_tokens, rules));
  return sizes;
}

// The document [begin, end) in which key position `position` lies.
KeyRange DocumentAround(const Documents& documents, int64_t position,
                        int64_t key_tokens) {
  const int64_t* end = documents.starts + documents.count;
  const int64_t* next = std::upper_bound(documents.starts, end, position);
  return {next == documents.starts ? 0 : next[-1],
          next == end ? key_tokens : *next};
}

}  // namespace

absl::StatusOr<SoftmaxAttentionSizes> CheckSoftmaxForward(
    const SoftmaxAttentionInputs& inputs, TensorView o, TensorView lse,
    const OperandRules& rules) {
  constexpr char kOp[] = "SoftmaxAttention";
  ASSIGN_OR_RETURN(const SoftmaxAttentionSizes sizes,
                   CheckInputs(kOp, rules, inputs));
  OperandCheck check(kOp, rules);
  CheckQueryLike(check, "o", o, sizes);
  CheckLse(check, lse, sizes);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

absl::StatusOr<SoftmaxAttentionSizes> CheckSoftmaxBackward(
    const SoftmaxAttentionInputs& inputs, const SoftmaxAttentionSaved& saved,
    ConstTensorView d_o, const SoftmaxAttentionGradients& gradients,
    const OperandRules& rules) {
  constexpr char kOp[] = "SoftmaxAttentionBackward";
  ASSIGN_OR_RETURN(const SoftmaxAttentionSizes sizes,
                   CheckInputs(kOp, rules, inputs));
  OperandCheck check(kOp, rules);
  CheckQueryLike(check, "o", saved.o, sizes);
  CheckLse(check, saved.lse, sizes);
  CheckQueryLike(check, "d_o", d_o, sizes);
  CheckQueryLike(check, "d_q", gradients.d_q, sizes);
  CheckKeyLike(check, "d_k", gradients.d_k, sizes);
  CheckKeyLike(check, "d_v", gradients.d_v, sizes);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

absl::StatusOr<SoftmaxAttentionSizes> CheckSoftmaxMerge(
    const SoftmaxAttentionSaved& part, TensorView o, TensorView lse,
    const OperandRules& rules) {
  OperandCheck check("SoftmaxAttentionMerge", rules);
  check.Floating("o", o).Rank("o", o, 4);
  RETURN_IF_ERROR(check.status());
  SoftmaxAttentionSizes sizes;
  sizes.dtype = o.dtype();
  sizes.batch = o.size(0);
  sizes.query_tokens = o.size(1);
  sizes.heads = o.size(2);
  sizes.head_dim = o.size(3);
  CheckQueryLike(check, "part.o", part.o, sizes);
  CheckLse(check, lse, sizes);
  CheckLse(check, part.lse, sizes);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

SoftmaxMergeStep MergeStepOf(double lse, double lse_part) {
  if (lse_part == -INFINITY) return {0.0, lse};
  if (lse == -INFINITY) return {1.0, lse_part};
  const double ahead = lse_part - lse;
  const double small = std::exp(-std::abs(ahead));
  const double weight = (ahead > 0 ? 1.0 : small) / (1.0 + small);
  return {weight, std::max(lse, lse_part) + std::log1p(small)};
}

KeyRange VisibleKeys(const SoftmaxAttentionInputs& inputs, int64_t i) {
  const int64_t key_tokens = inputs.k.size(1);
  const int64_t position = inputs.query_offset + i;
  KeyRange range = DocumentAround(inputs.documents, position, key_tokens);
  if (inputs.mask != AttentionMask::kNone) {
    range.end = std::min(range.end, position + 1);
  }
  if (inputs.mask == AttentionMask::kWindow) {
    range.begin = std::max(range.begin, position - inputs.window + 1);
  }
  range.end = std::max(range.begin, range.end);
  return range;
}

}  // namespace longspan::kernels
