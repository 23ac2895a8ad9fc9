#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/api/elementwise.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {
namespace {

kernels::ShortConvolutionInputs ConvolutionInputsOf(const OpCall& call) {
  return {call.in("x"),       call.in("weight"), call.in("halo"),
          call.given("silu"), call.documents(),  call.in("bias")};
}

absl::Status ConvolutionForward(OpCall& call) {
  return call.backend().short_convolution().Forward(
      ConvolutionInputsOf(call), call.out("y"), call.stream());
}

absl::Status ConvolutionBackward(OpCall& call) {
  const int64_t channel_parameters =
      call.size("K") + (call.has("bias") ? 1 : 0);
  ASSIGN_OR_RETURN(
      const kernels::TensorView workspace,
      call.Workspace(ShortConvolutionBackwardWorkspaceBytes(
          call.size("B"), call.size("T"), call.size("C"), channel_parameters,
          call.element_bytes(), call.kind(), call.threads())));
  return call.backend().short_convolution().Backward(
      ConvolutionInputsOf(call), call.in("d_y"),
      {call.out("d_x"), call.out("d_weight"), call.out("d_halo"),
       call.out("d_bias")},
      workspace, call.stream());
}

}  // namespace

std::vector<OpDescription> ShortConvolutionOps() {
  using R = TensorRole;
  using T = TensorType;
  OpDescription op;
  op.name = "short_convolution";
  op.equation =
      "y[t, c] = act(bias[c] + sum_(j = 0 .. K-1) weight[c, j] x[t-(K-1)+j, "
      "c])\n"
      "act: nothing, or silu; no tap crosses the start of a document";
  op.tensors = {
      {R::kInput, "x", T::kOperand, "B T C", "tokens"},
      {R::kInput, "weight", T::kSum, "C K", "2 <= K <= 8"},
      {R::kOptional, "bias", T::kSum, "C", "default 0"},
      {R::kOptional, "halo", T::kOperand, "B K-1 C",
       "the tokens before t = 0, default 0"},
      {R::kOptional, "document_starts", T::kI64, "N",
       "first tokens of packed documents, rising, B = 1", 1, 8},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "B T C", "result"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_weight", T::kSum, "", ""},
      {R::kGradient, "d_halo", T::kOperand, "", ""},
      {R::kGradient, "d_bias", T::kSum, "", ""},
  };
  op.flags = {{"silu", FlagKind::kSwitch, "apply silu"}};
  op.example_sizes = {{"B", 1}, {"T", 6}, {"C", 8}, {"K", 4}, {"N", 2}};
  op.variants = {{"plain"},
                 {"silu", {{"silu", "1"}}},
                 {"bias", {}, {{"bias", 0}}},
                 {"halo", {}, {{"halo", 0}}},
                 {"documents", {}, {{"document_starts", 0}}}};
  op.forward = ConvolutionForward;
  op.backward = ConvolutionBackward;
  return {op};
}

}  // namespace longspan::cli
