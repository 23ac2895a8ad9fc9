#include "cli/op/linear_attention_call.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::cli {
namespace {

using kernels::LinearAttentionDecay;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionShape;
using kernels::Transition;
using R = TensorRole;
using T = TensorType;

constexpr const char* kTransitions[] = {"identity", "constant", "scalar",
                                        "vector", "dense"};

// What the tensors say, where --transition does not.
Transition Implied(const OpCall& call) {
  if (call.has("beta")) return Transition::kDense;
  if (call.has("log_decay")) return Transition::kConstant;
  if (!call.has("log_gate")) return Transition::kIdentity;
  return call.in("log_gate").rank() == 4 ? Transition::kVector
                                         : Transition::kScalar;
}

absl::Status CheckUse(const OpCall& call, const char* tensor, bool needed,
                      bool allowed) {
  const char* transition = kTransitions[static_cast<int>(TransitionOf(call))];
  if (needed && !call.has(tensor)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the transition ", transition, " needs the tensor '",
                     tensor, "', which is missing"));
  }
  if (allowed || !call.has(tensor)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the transition ", transition, " has no use for ", tensor,
                   "; leave it out, or choose another --transition"));
}

}  // namespace

Transition TransitionOf(const OpCall& call) {
  const std::string name = call.text("transition", "");
  for (int i = 0; i < 5; ++i) {
    if (name == kTransitions[i]) return static_cast<Transition>(i);
  }
  return Implied(call);
}

absl::Status CheckTransitionTensors(const OpCall& call) {
  const Transition transition = TransitionOf(call);
  const bool gates = HasGates(transition);
  const bool dense = transition == Transition::kDense;
  const bool constant = transition == Transition::kConstant;
  RETURN_IF_ERROR(CheckUse(call, "log_gate", gates, gates || dense));
  RETURN_IF_ERROR(CheckUse(call, "log_decay", constant, constant));
  return CheckUse(call, "beta", dense, dense);
}

LinearAttentionInputs LinearAttentionInputsOf(const OpCall& call) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(call.size("Dk")));
  LinearAttentionInputs inputs;
  inputs.transition = TransitionOf(call);
  inputs.scale = call.number("scale", scale);
  inputs.q = call.in("q");
  inputs.k = call.in("k");
  inputs.v = call.in("v");
  inputs.log_gate = call.in("log_gate");
  inputs.log_decay = call.in("log_decay");
  inputs.beta = call.in("beta");
  inputs.documents = call.documents();
  return inputs;
}

absl::StatusOr<kernels::TensorView> LinearAttentionWorkspace(
    OpCall& call, kernels::LinearAttentionStage stage) {
  LinearAttentionShape shape = {call.size("B"),  call.size("T"),
                                call.size("H"),  call.size("Dk"),
                                call.size("Dv"), call.element_bytes()};
  shape.key_heads = call.size("Hk");
  const Transition transition = TransitionOf(call);
  if (transition == Transition::kVector) {
    shape.decay = LinearAttentionDecay::kChannel;
  } else if (transition == Transition::kDense) {
    shape.decay = LinearAttentionDecay::kMatrix;
  }
  return call.Workspace(
      LinearAttentionWorkspaceBytes(stage, shape, call.kind(), call.threads()));
}

std::vector<OpTensor> TokenTensors() {
  return {
      {R::kInput, "q", T::kOperand, "B T Hk Dk",
       "queries; head h of H reads head h / (H / Hk)"},
      {R::kInput, "k", T::kOperand, "B T Hk Dk",
       "keys; dense is stable for beta |k|^2 <= 2", -0.5, 0.5},
      {R::kInput, "v", T::kOperand, "B T H Dv", "values"},
      {R::kOptional,
       "log_gate",
       T::kSum,
       "B T H | B T H Dk",
       "logarithms of decays per token, so never above 0 (scalar; vector; "
       "either with dense)",
       -0.5,
       0.0,
       {},
       0.0},
      {R::kOptional,
       "log_decay",
       T::kSum,
       "H",
       "logarithm of each head's decay, so never above 0 (constant)",
       -0.5,
       0.0,
       {},
       0.0},
      {R::kOptional, "beta", T::kSum, "B T H", "writing strengths (dense)", 0.0,
       1.0},
  };
}

OpTensor DocumentStarts() {
  return {R::kOptional,
          "document_starts",
          T::kI64,
          "N",
          "first tokens of packed documents, rising, B = 1: fla's cu_seqlens "
          "without its last entry",
          1,
          8};
}

std::vector<OpFlag> LinearAttentionFlags() {
  return {
      {"transition",
       FlagKind::kChoice,
       "default: what the tensors say",
       {kTransitions, kTransitions + 5}},
      {"scale", FlagKind::kNumber, "default: 1/sqrt(Dk)"},
  };
}

std::vector<OpVariant> TransitionVariants() {
  return {
      {"identity"},
      {"constant decay", {}, {{"log_decay", 0}}},
      {"scalar gates", {}, {{"log_gate", 0}}},
      {"vector gates", {}, {{"log_gate", 1}}},
      {"delta rule", {}, {{"beta", 0}}},
      {"delta rule, scalar gates", {}, {{"beta", 0}, {"log_gate", 0}}},
      {"delta rule, vector gates", {}, {{"beta", 0}, {"log_gate", 1}}},
  };
}

}  // namespace longspan::cli
