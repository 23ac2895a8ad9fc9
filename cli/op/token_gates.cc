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

OpDescription ForgetGate() {
  OpDescription op;
  op.name = "forget_gate";
  op.equation =
      "y = logsigmoid(x), k = 1 - exp(y), the log gate and key of HGRN2";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kSeed, "d_y", T::kSum, "", ""},
      {R::kSeed, "d_k", T::kOperand, "", ""},
      {R::kOutput, "y", T::kSum, "* N", "log gates"},
      {R::kOutput, "k", T::kOperand, "* N", "keys"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
  };
  op.example_sizes = {{"N", 8}};
  op.variants = {{"forget_gate"}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().ForgetGate(
        call.in("x"), call.out("y"), call.out("k"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().ForgetGateBackward(
        call.in("x"), call.in("d_y"), call.in("d_k"), call.out("d_x"),
        call.stream());
  };
  return op;
}

kernels::BoundedForgetGateInputs BoundedInputs(const OpCall& call) {
  return {call.in("x"), call.in("bounds"), call.integer("layer", 1)};
}

OpDescription BoundedForgetGate() {
  OpDescription op;
  op.name = "bounded_forget_gate";
  op.equation =
      "y = log(b + (1 - b) sigmoid(x)), k = 1 - exp(y), HGRN2 with lower "
      "bounds;\n"
      "b: the sum of rows 1 to layer of softmax(bounds) over its L rows";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kInput, "bounds", T::kSum, "L N", "shared by all layers"},
      {R::kSeed, "d_y", T::kSum, "", ""},
      {R::kSeed, "d_k", T::kOperand, "", ""},
      {R::kOutput, "y", T::kSum, "* N", "log gates"},
      {R::kOutput, "k", T::kOperand, "* N", "keys"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_bounds", T::kSum, "", ""},
  };
  op.flags = {{"layer", FlagKind::kInteger, "1 to L - 1, default 1"}};
  op.example_sizes = {{"N", 8}, {"L", 3}};
  op.variants = {{"first bounded layer"}, {"last layer", {{"layer", "2"}}}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().BoundedForgetGate(
        BoundedInputs(call), call.out("y"), call.out("k"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().BoundedForgetGateBackward(
        BoundedInputs(call), call.in("d_y"), call.in("d_k"),
        {call.out("d_x"), call.out("d_bounds")}, call.stream());
  };
  return op;
}

kernels::SigmoidProductInputs ProductInputs(const OpCall& call) {
  return {call.in("x"), call.in("gate"), call.in("bias")};
}

OpDescription SigmoidProduct() {
  OpDescription op;
  op.name = "sigmoid_product";
  op.equation = "y = x sigmoid(gate + bias), the output gate of KDA";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kInput, "gate", T::kOperand, "* N", "beside x"},
      {R::kInput, "bias", T::kSum, "N", "shared by all rows"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* N", "gated rows"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_gate", T::kOperand, "", ""},
      {R::kGradient, "d_bias", T::kSum, "", ""},
  };
  op.example_sizes = {{"N", 8}};
  op.variants = {{"sigmoid_product"}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().SigmoidProduct(
        ProductInputs(call), call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().SigmoidProductBackward(
        ProductInputs(call), call.in("d_y"),
        {call.out("d_x"), call.out("d_gate"), call.out("d_bias")},
        call.stream());
  };
  return op;
}

kernels::StepProductInputs StepInputs(const OpCall& call) {
  return {call.in("x"), call.in("log_gate"), call.in("a_log")};
}

OpDescription StepProduct() {
  OpDescription op;
  op.name = "step_product";
  op.equation =
      "y = -exp(-a_log[h]) log_gate[h] x, the values of Mamba-2: x times the\n"
      "step that softplus_gate made log_gate of";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* H D", "values"},
      {R::kInput, "log_gate", T::kSum, "* H", "log gates", -2.0, 0.0},
      {R::kInput, "a_log", T::kSum, "H", "of each head"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* H D", "values times steps"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_log_gate", T::kSum, "", ""},
      {R::kGradient, "d_a_log", T::kSum, "", ""},
  };
  op.example_sizes = {{"H", 2}, {"D", 4}};
  op.variants = {{"step_product"}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().StepProduct(
        StepInputs(call), call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().StepProductBackward(
        StepInputs(call), call.in("d_y"),
        {call.out("d_x"), call.out("d_log_gate"), call.out("d_a_log")},
        call.stream());
  };
  return op;
}

OpDescription AddSkip() {
  OpDescription op;
  op.name = "add_skip";
  op.equation = "y = weight[h] x, which Mamba-2 adds to its outputs (its D)";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* H D", "rows"},
      {R::kInput, "weight", T::kSum, "H", "of each head"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* H D", "rows to add"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_weight", T::kSum, "", ""},
  };
  op.example_sizes = {{"H", 2}, {"D", 4}};
  op.variants = {{"add_skip"}};
  op.forward = [](OpCall& call) {
    return call.backend().token_gates().AddSkip(call.in("x"), call.in("weight"),
                                                call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().token_gates().AddSkipBackward(
        call.in("x"), call.in("weight"), call.in("d_y"), call.out("d_x"),
        call.out("d_weight"), call.stream());
  };
  return op;
}

}  // namespace

std::vector<OpDescription> TokenGateOps() {
  return {Sigmoid(),        SoftplusGate(), ForgetGate(), BoundedForgetGate(),
          SigmoidProduct(), StepProduct(),  AddSkip()};
}

}  // namespace longspan::cli
