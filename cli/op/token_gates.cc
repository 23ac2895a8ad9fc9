#include "kernels/api/token_gates.h"

#include "cli/op/op_call.h"
#include "cli/op/op_families.h"

namespace longspan::cli {
namespace {

using R = TensorRole;
using T = TensorType;

OpDescription Sigmoid() {
  OpDescription op;
  op.name = "sigmoid";
  op.equation = "y = factor sigmoid(x), a write strength";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kSeed, "d_y", T::kSum, "", ""},
      {R::kOutput, "y", T::kSum, "* N", "strengths"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
  };
  op.flags = {{"factor", FlagKind::kNumber, "default 1"}};
  op.example_sizes = {{"N", 8}};
  op.variants = {{"sigmoid"}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().Sigmoid(
        call.in("x"), call.number("factor", 1.0), call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().SigmoidBackward(
        call.in("x"), call.number("factor", 1.0), call.in("d_y"),
        call.out("d_x"), call.stream());
  };
  return op;
}

kernels::SoftplusGateInputs GateInputs(const OpCall& call) {
  return {call.in("x"), call.in("bias"), call.in("a_log")};
}

OpDescription SoftplusGate() {
  OpDescription op;
  op.name = "softplus_gate";
  op.equation = "y = -exp(a_log[h]) softplus(x + bias), a log gate";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kInput, "bias", T::kSum, "N", "shared by all rows"},
      {R::kInput, "a_log", T::kSum, "H", "of heads of N / H columns each"},
      {R::kSeed, "d_y", T::kSum, "", ""},
      {R::kOutput, "y", T::kSum, "* N", "log gates"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_bias", T::kSum, "", ""},
      {R::kGradient, "d_a_log", T::kSum, "", ""},
  };
  op.example_sizes = {{"N", 8}, {"H", 2}};
  op.variants = {{"per channel"}, {"per head", {}, {}, {{"H", 8}}}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().SoftplusGate(
        GateInputs(call), call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().SoftplusGateBackward(
        GateInputs(call), call.in("d_y"),
        {call.out("d_x"), call.out("d_bias"), call.out("d_a_log")},
        call.stream());
  };
  return op;
}

}  // namespace

std::vector<OpDescription> TokenGateOps() {
  return {Sigmoid(), SoftplusGate()};
}

}  // namespace longspan::cli
