#include "kernels/api/elementwise.h"

#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {
namespace {

using kernels::TensorView;
using R = TensorRole;
using T = TensorType;

kernels::RmsNormInputs NormInputs(const OpCall& call) {
  return {call.in("x"), call.in("weight"), call.in("gate"),
          call.number("epsilon", 1e-6)};
}

absl::Status RmsNormForward(OpCall& call) {
  return call.backend().elementwise().RmsNorm(NormInputs(call), call.out("y"),
                                              call.out("rstd"), call.stream());
}

absl::Status RmsNormBackward(OpCall& call) {
  const auto& x = call.in("x");
  ASSIGN_OR_RETURN(const TensorView workspace,
                   call.Workspace(RmsNormBackwardWorkspaceBytes(
                       x.size(0), x.size(1), call.element_bytes(), call.kind(),
                       call.threads())));
  return call.backend().elementwise().RmsNormBackward(
      NormInputs(call), call.in("rstd"), call.in("d_y"),
      {call.out("d_x"), call.out("d_weight"), call.out("d_gate")}, workspace,
      call.stream());
}

OpDescription RmsNorm() {
  OpDescription op;
  op.name = "rms_norm";
  op.equation =
      "y = x * rstd * weight        rstd = 1 / sqrt(mean(x^2) + epsilon)\n"
      "With gate: y = x * rstd * weight * silu(gate).";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows of N, or heads of N"},
      {R::kInput, "weight", T::kSum, "N", "shared by all rows"},
      {R::kOptional, "gate", T::kOperand, "* N", "gate of each element"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* N", "result"},
      {R::kOutput, "rstd", T::kSum, "*", "of each row"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_weight", T::kSum, "", ""},
      {R::kGradient, "d_gate", T::kOperand, "", ""},
  };
  op.flags = {{"epsilon", FlagKind::kNumber, "default 1e-6"}};
  op.example_sizes = {{"N", 8}};
  op.variants = {{"plain"}, {"gated", {}, {{"gate", 0}}}};
  op.forward = RmsNormForward;
  op.backward = RmsNormBackward;
  return op;
}

absl::Status Rotate(OpCall& call, const char* from, const char* to,
                    bool backward) {
  return call.backend().elementwise().Rotary(
      call.in(from), call.in("positions"), call.number("base", 10000.0),
      call.given("inverse") != backward, call.out(to), call.stream());
}

OpDescription Rotary() {
  OpDescription op;
  op.name = "rotary";
  op.equation =
      "pairs (x_i, x_(i + D/2)) turned by position * base^(-2 i / D), the\n"
      "half-split form of NeoX and Llama; angles in double";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "B T H D", "queries or keys, D even"},
      {R::kInput, "positions", T::kI64, "T", "of the tokens", 0, 100},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "B T H D", "result"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
  };
  op.flags = {{"base", FlagKind::kNumber, "default 10000"},
              {"inverse", FlagKind::kSwitch, "turn back"}};
  op.example_sizes = {{"B", 1}, {"T", 3}, {"H", 2}, {"D", 8}};
  op.variants = {{"forward"}, {"inverse", {{"inverse", "1"}}}};
  op.forward = [](OpCall& call) { return Rotate(call, "x", "y", false); };
  op.backward = [](OpCall& call) { return Rotate(call, "d_y", "d_x", true); };
  return op;
}

OpDescription Silu() {
  OpDescription op;
  op.name = "silu";
  op.equation = "y = x * sigmoid(x)";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* N", "result"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
  };
  op.example_sizes = {{"N", 8}};
  op.variants = {{"silu"}};
  op.forward = [](OpCall& call) {
    return call.backend().elementwise().Silu(call.in("x"), call.out("y"),
                                             call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().elementwise().SiluBackward(
        call.in("x"), call.in("d_y"), call.out("d_x"), call.stream());
  };
  return op;
}

OpDescription SwiGlu() {
  OpDescription op;
  op.name = "swiglu";
  op.equation = "y = silu(gate) * up";
  op.tensors = {
      {R::kInput, "gate", T::kOperand, "* N", "rows"},
      {R::kInput, "up", T::kOperand, "* N", "rows"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* N", "result"},
      {R::kGradient, "d_gate", T::kOperand, "", ""},
      {R::kGradient, "d_up", T::kOperand, "", ""},
  };
  op.example_sizes = {{"N", 8}};
  op.variants = {{"swiglu"}};
  op.forward = [](OpCall& call) {
    return call.backend().elementwise().SwiGlu(call.in("gate"), call.in("up"),
                                               call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().elementwise().SwiGluBackward(
        call.in("gate"), call.in("up"), call.in("d_y"), call.out("d_gate"),
        call.out("d_up"), call.stream());
  };
  return op;
}

constexpr double kNormalizer = 16.0;

OpDescription LogSigmoidGate() {
  OpDescription op;
  op.name = "log_sigmoid_gate";
  op.equation = "y = log(sigmoid(x + bias)) / normalizer, a log gate";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* N", "rows"},
      {R::kInput, "bias", T::kSum, "N", "shared by all rows"},
      {R::kSeed, "d_y", T::kSum, "", ""},
      {R::kOutput, "y", T::kSum, "* N", "log gates"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_bias", T::kSum, "", ""},
  };
  op.flags = {{"normalizer", FlagKind::kNumber, "default 16"}};
  op.example_sizes = {{"N", 8}};
  op.variants = {{"log_sigmoid_gate"}};
  op.forward = [](OpCall& call) {
    return call.backend().elementwise().LogSigmoidGate(
        call.in("x"), call.in("bias"), call.number("normalizer", kNormalizer),
        call.out("y"), call.stream());
  };
  op.backward = [](OpCall& call) {
    return call.backend().elementwise().LogSigmoidGateBackward(
        call.in("x"), call.in("bias"), call.number("normalizer", kNormalizer),
        call.in("d_y"), call.out("d_x"), call.out("d_bias"), call.stream());
  };
  return op;
}

}  // namespace

std::vector<OpDescription> ElementwiseOps() {
  return {RmsNorm(), Rotary(), Silu(), SwiGlu(), LogSigmoidGate()};
}

}  // namespace longspan::cli
