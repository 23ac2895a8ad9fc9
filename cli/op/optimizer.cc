#include "kernels/api/optimizer.h"

#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"

namespace longspan::cli {
namespace {

constexpr const char* kUpdated[] = {"parameter", "first_moment",
                                    "second_moment"};

// The op works in place, on copies.
absl::Status AdamWForward(OpCall& call) {
  for (const char* name : kUpdated) {
    RETURN_IF_ERROR(call.backend().elementwise().Copy(
        call.in(name), call.out(std::string("new_") + name), call.stream()));
  }
  const kernels::AdamWTensor tensor = {
      call.out("new_parameter"), call.in("gradient"),
      call.out("new_first_moment"), call.out("new_second_moment"),
      call.number("weight-decay", 0.0)};
  kernels::AdamWOptions options;
  options.beta1 = call.number("beta1", options.beta1);
  options.beta2 = call.number("beta2", options.beta2);
  options.epsilon = call.number("epsilon", options.epsilon);
  return call.backend().optimizer().AdamW(
      {&tensor, 1},
      {call.in("learning_rate"), call.in("clip_factor"), call.in("step")},
      options, call.stream());
}

}  // namespace

std::vector<OpDescription> OptimizerOps() {
  using R = TensorRole;
  using T = TensorType;
  OpDescription op;
  op.name = "adamw";
  op.equation =
      "g <- clip_factor gradient\n"
      "m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2\n"
      "p <- p - lr (m_hat / (sqrt(v_hat) + epsilon) + weight_decay p)\n"
      "m_hat = m / (1 - beta1^step), v_hat = v / (1 - beta2^step)";
  op.tensors = {
      {R::kInput, "parameter", T::kSum, "N", "p"},
      {R::kInput, "gradient", T::kSum, "N", "before clipping"},
      {R::kInput, "first_moment", T::kSum, "N", "m"},
      {R::kInput, "second_moment", T::kSum, "N", "v", 0.0, 1.0},
      {R::kInput, "learning_rate", T::kF32, "1", "lr", 0.001, 0.002},
      {R::kInput, "clip_factor", T::kF32, "1", "1: no clipping", 0.5, 1.0},
      {R::kInput, "step", T::kI64, "1", "1 for the first update", 3, 4},
      {R::kOutput, "new_parameter", T::kSum, "N", "p"},
      {R::kOutput, "new_first_moment", T::kSum, "N", "m"},
      {R::kOutput, "new_second_moment", T::kSum, "N", "v"},
  };
  op.flags = {{"beta1", FlagKind::kNumber, "default 0.9"},
              {"beta2", FlagKind::kNumber, "default 0.95"},
              {"epsilon", FlagKind::kNumber, "default 1e-8"},
              {"weight-decay", FlagKind::kNumber, "default 0"}};
  op.example_sizes = {{"N", 20}};
  op.variants = {{"plain"}, {"weight decay", {{"weight-decay", "0.1"}}}};
  op.forward = AdamWForward;
  return {op};
}

}  // namespace longspan::cli
