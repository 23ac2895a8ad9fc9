#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {
namespace {

using kernels::AttentionMask;
using kernels::SoftmaxAttentionInputs;
using kernels::SoftmaxAttentionShape;

constexpr char kSoftmaxEquation[] =
    "o_i = sum_j p_ij v_j        p_ij = exp(scale * q_i . k_j - lse_i)\n"
    "Query i is at key position p = query-offset + i; it sees keys j <= p\n"
    "(causal), p - window < j <= p (window), or all (none), of its own\n"
    "document. Query head h reads key head h / (H / Hkv).";

AttentionMask MaskOf(const OpCall& call) {
  const std::string mask =
      call.text("mask", call.given("window") ? "window" : "causal");
  if (mask == "none") return AttentionMask::kNone;
  return mask == "window" ? AttentionMask::kWindow : AttentionMask::kCausal;
}

absl::Status CheckWindow(OpCall& call) {
  const bool masked = MaskOf(call) == AttentionMask::kWindow;
  if (masked == call.given("window")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      masked ? "--mask window needs --window, how many keys a query sees"
             : "--window goes with --mask window only; leave one of them out");
}

SoftmaxAttentionInputs SoftmaxInputsOf(const OpCall& call) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(call.size("D")));
  return {MaskOf(call),
          call.integer("window", 0),
          call.integer("query-offset", 0),
          call.number("scale", scale),
          call.in("q"),
          call.in("k"),
          call.in("v"),
          call.documents()};
}

absl::StatusOr<kernels::TensorView> Workspace(OpCall& call, bool backward) {
  const SoftmaxAttentionShape shape = {
      call.size("B"),   call.size("Tq"), call.size("Tk"),     call.size("H"),
      call.size("Hkv"), call.size("D"),  call.element_bytes()};
  return call.Workspace(SoftmaxAttentionWorkspaceBytes(
      backward, shape, call.kind(), call.threads()));
}

absl::Status SoftmaxForward(OpCall& call) {
  ASSIGN_OR_RETURN(const auto workspace, Workspace(call, false));
  return call.backend().softmax_attention().Forward(
      SoftmaxInputsOf(call), call.out("o"), call.out("lse"), workspace,
      call.stream());
}

absl::Status SoftmaxBackward(OpCall& call) {
  ASSIGN_OR_RETURN(const auto workspace, Workspace(call, true));
  return call.backend().softmax_attention().Backward(
      SoftmaxInputsOf(call), {call.in("o"), call.in("lse")}, call.in("d_o"),
      {call.out("d_q"), call.out("d_k"), call.out("d_v")}, workspace,
      call.stream());
}

absl::Status Merge(OpCall& call) {
  kernels::Elementwise& elementwise = call.backend().elementwise();
  RETURN_IF_ERROR(
      elementwise.Copy(call.in("o_a"), call.out("o"), call.stream()));
  RETURN_IF_ERROR(
      elementwise.Copy(call.in("lse_a"), call.out("lse"), call.stream()));
  return call.backend().softmax_attention().Merge(
      {call.in("o_b"), call.in("lse_b")}, call.out("o"), call.out("lse"),
      call.stream());
}

OpDescription SoftmaxAttentionMerge() {
  using R = TensorRole;
  using T = TensorType;
  OpDescription op;
  op.name = "softmax_attention_merge";
  op.equation =
      "o = o_a - sigmoid(lse_b - lse_a) (o_a - o_b)\n"
      "lse = lse_a - logsigmoid(lse_a - lse_b)\n"
      "attention to two sets of keys from attention to each, as rings do";
  op.tensors = {
      {R::kInput, "o_a", T::kOperand, "B Tq H D", "outputs of the first set"},
      {R::kInput, "lse_a", T::kSum, "B H Tq", "and their lse"},
      {R::kInput, "o_b", T::kOperand, "B Tq H D", "outputs of the second"},
      {R::kInput, "lse_b", T::kSum, "B H Tq", "and their lse"},
      {R::kOutput, "o", T::kOperand, "B Tq H D", "outputs"},
      {R::kOutput, "lse", T::kSum, "B H Tq", "of both sets"},
  };
  op.example_sizes = {{"B", 1}, {"Tq", 5}, {"H", 2}, {"D", 4}};
  op.variants = {{"merge"}};
  op.forward = Merge;
  return op;
}

OpDescription SoftmaxAttention() {
  using R = TensorRole;
  using T = TensorType;
  OpDescription op;
  op.name = "softmax_attention";
  op.equation = kSoftmaxEquation;
  op.tensors = {
      {R::kInput, "q", T::kOperand, "B Tq H D", "queries"},
      {R::kInput, "k", T::kOperand, "B Tk Hkv D", "keys"},
      {R::kInput, "v", T::kOperand, "B Tk Hkv D", "values"},
      {R::kOptional, "document_starts", T::kI64, "N",
       "first keys of packed documents, rising, B = 1: cu_seqlens without "
       "its last entry",
       1, 8},
      {R::kSeed, "d_o", T::kOperand, "", ""},
      {R::kOutput, "o", T::kOperand, "B Tq H D", "outputs"},
      {R::kOutput, "lse", T::kSum, "B H Tq",
       "logarithm of each query's sum of exponentials"},
      {R::kGradient, "d_q", T::kOperand, "", ""},
      {R::kGradient, "d_k", T::kOperand, "", ""},
      {R::kGradient, "d_v", T::kOperand, "", ""},
  };
  op.flags = {
      {"mask",
       FlagKind::kChoice,
       "default: causal, or window where --window is given",
       {"causal", "none", "window"}},
      {"window", FlagKind::kInteger, "keys that a query sees, its own too"},
      {"query-offset", FlagKind::kInteger,
       "key position of query 0, default 0; Tk - Tq where queries are last"},
      {"scale", FlagKind::kNumber, "default: 1/sqrt(D)"},
  };
  op.example_sizes = {{"B", 1},   {"Tq", 5}, {"Tk", 5}, {"H", 2},
                      {"Hkv", 2}, {"D", 4},  {"N", 2}};
  op.variants = {
      {"causal"},
      {"no mask", {{"mask", "none"}}, {}, {{"Tk", 7}}},
      {"window", {{"window", "3"}}, {}, {}},
      {"grouped queries", {}, {}, {{"H", 4}}},
      {"query offset", {{"query-offset", "2"}}, {}, {{"Tk", 7}}},
      {"documents", {}, {{"document_starts", 0}}},
  };
  op.sizes = CheckWindow;
  op.forward = SoftmaxForward;
  op.backward = SoftmaxBackward;
  return op;
}

}  // namespace

std::vector<OpDescription> SoftmaxAttentionOps() {
  return {SoftmaxAttention(), SoftmaxAttentionMerge()};
}

}  // namespace longspan::cli
