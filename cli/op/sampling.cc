#include "kernels/api/sampling.h"

#include "cli/op/op_call.h"
#include "cli/op/op_families.h"

namespace longspan::cli {
namespace {

absl::Status SamplingForward(OpCall& call) {
  return call.backend().sampling().Sample(
      {call.in("logits"), call.in("temperature"), call.in("top_k"),
       call.in("top_p"), call.in("uniform")},
      {call.out("ids"), call.out("log_probabilities")}, call.stream());
}

}  // namespace

std::vector<OpDescription> SamplingOps() {
  using R = TensorRole;
  using T = TensorType;
  OpDescription op;
  op.name = "sampling";
  op.equation =
      "of tokens ranked by logit, the first top_k, of them the first that\n"
      "reach top_p; drawn with weights exp(logit / temperature) where their\n"
      "running sum passes uniform";
  op.tensors = {
      {R::kInput, "logits", T::kSum, "R V", "rows", -4.0, 4.0},
      {R::kInput, "temperature", T::kF64, "R", "0: the largest logit", 0.5,
       1.5},
      {R::kInput, "top_k", T::kI32, "R", "0: all", 0, 4},
      {R::kInput, "top_p", T::kF64, "R", "in (0, 1]", 0.5, 1.0},
      {R::kInput, "uniform", T::kF64, "R", "in [0, 1)", 0.0, 1.0},
      {R::kOutput, "ids", T::kI32, "R", "the tokens drawn"},
      {R::kOutput, "log_probabilities", T::kF64, "R",
       "of the tokens, before temperature, top_k and top_p"},
  };
  op.example_sizes = {{"R", 4}, {"V", 16}};
  op.variants = {{"sampling"}};
  op.forward = SamplingForward;
  return {op};
}

}  // namespace longspan::cli
