#include "kernels/api/dense.h"

#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {
namespace {

using kernels::TensorView;
using R = TensorRole;
using T = TensorType;

absl::Status MatMulBackward(OpCall& call) {
  RETURN_IF_ERROR(call.backend().dense().MatMul(
      call.in("d_c"), call.in("b"), call.out("d_a"), {false, true, false},
      call.stream()));
  return call.backend().dense().MatMul(call.in("a"), call.in("d_c"),
                                       call.out("d_b"), {true, false, false},
                                       call.stream());
}

OpDescription MatMul() {
  OpDescription op;
  op.name = "matmul";
  op.equation = "c = a b";
  op.tensors = {
      {R::kInput, "a", T::kOperand, "M K", "left"},
      {R::kInput, "b", T::kOperand, "K N", "right"},
      {R::kSeed, "d_c", T::kOperand, "", ""},
      {R::kOutput, "c", T::kOperand, "M N", "product"},
      {R::kGradient, "d_a", T::kOperand, "", ""},
      {R::kGradient, "d_b", T::kOperand, "", ""},
  };
  op.example_sizes = {{"M", 5}, {"K", 8}, {"N", 16}};
  op.variants = {{"matmul"}};
  op.forward = [](OpCall& call) {
    return call.backend().dense().MatMul(call.in("a"), call.in("b"),
                                         call.out("c"), {}, call.stream());
  };
  op.backward = MatMulBackward;
  return op;
}

OpDescription Embedding() {
  OpDescription op;
  op.name = "embedding";
  op.equation = "out[m, :] = table[ids[m], :]";
  op.tensors = {
      {R::kInput, "table", T::kOperand, "V N", "rows of the vocabulary"},
      {R::kInput, "ids", T::kI32, "M", "in [0, V)", 0, 3, 0.0, {}, "V"},
      {R::kSeed, "d_out", T::kOperand, "", ""},
      {R::kOutput, "out", T::kOperand, "M N", "rows"},
      {R::kGradient, "d_table", T::kSum, "", ""},
  };
  op.example_sizes = {{"M", 5}, {"V", 7}, {"N", 8}};
  op.variants = {{"embedding"}};
  op.forward = [](OpCall& call) {
    return call.backend().dense().Embed(call.in("ids"), call.in("table"),
                                        call.out("out"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().dense().EmbedBackward(
        call.in("ids"), call.in("d_out"), call.out("d_table"), call.stream());
  };
  return op;
}

kernels::CrossEntropyInputs LossInputs(const OpCall& call) {
  return {call.in("hidden"), call.in("weight"), call.in("targets"),
          call.in("token_weights")};
}

absl::StatusOr<TensorView> LossWorkspace(OpCall& call) {
  return call.Workspace(CrossEntropyWorkspaceBytes(
      call.size("M"), call.size("N"), call.size("V"), call.element_bytes(),
      call.kind(), call.threads()));
}

absl::Status LossForward(OpCall& call) {
  ASSIGN_OR_RETURN(const TensorView workspace, LossWorkspace(call));
  return call.backend().cross_entropy().Forward(
      LossInputs(call), {call.out("loss"), call.out("nll")}, workspace,
      call.stream());
}

absl::Status LossBackward(OpCall& call) {
  ASSIGN_OR_RETURN(const TensorView workspace, LossWorkspace(call));
  return call.backend().cross_entropy().ForwardBackward(
      LossInputs(call), {call.out("loss"), call.out("nll")},
      {call.in("d_loss"), call.out("d_hidden"), call.out("d_weight")},
      workspace, call.stream());
}

OpDescription CrossEntropy() {
  OpDescription op;
  op.name = "cross_entropy";
  op.equation =
      "logits_m = hidden_m weight^T\n"
      "nll_m = logsumexp(logits_m) - logits_m[targets[m]]\n"
      "loss = sum_m token_weights[m] nll_m        (a sum, not a mean)";
  op.tensors = {
      {R::kInput, "hidden", T::kOperand, "M N", "rows"},
      {R::kInput, "weight", T::kOperand, "V N", "of the head"},
      {R::kInput,
       "targets",
       T::kI32,
       "M",
       "in [0, V); below 0: not scored",
       0,
       5,
       {},
       {},
       "V"},
      {R::kOptional, "token_weights", T::kSum, "M", "default 1", 0.0, 1.0},
      {R::kSeed, "d_loss", T::kF32, "", ""},
      {R::kOutput, "loss", T::kF64, "1", "sum"},
      {R::kOutput, "nll", T::kSum, "M", "of each row"},
      {R::kGradient, "d_hidden", T::kOperand, "", ""},
      {R::kGradient, "d_weight", T::kSum, "", ""},
  };
  op.example_sizes = {{"M", 6}, {"V", 8}, {"N", 8}};
  op.variants = {{"cross_entropy"},
                 {"token weights", {}, {{"token_weights", 0}}}};
  op.forward = LossForward;
  op.backward = LossBackward;
  return op;
}

}  // namespace

std::vector<OpDescription> DenseOps() {
  return {MatMul(), Embedding(), CrossEntropy()};
}

}  // namespace longspan::cli
