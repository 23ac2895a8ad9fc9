#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {
namespace {

using kernels::LinearAttentionDecay;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionShape;
using kernels::LinearAttentionStage;
using kernels::Transition;

constexpr char kEquation[] =
    "S_t = a_t S_(t-1) + k_t^T v_t        o_t = scale * q_t S_t\n"
    "a_t: identity 1; constant exp(log_decay[h]); scalar exp(log_gate[t, h]);\n"
    "vector diag(exp(log_gate[t, h, :])); dense, the delta rule:\n"
    "S_t = (I - beta_t k_t^T k_t) d_t S_(t-1) + beta_t k_t^T v_t, with d_t 1 "
    "or\nthe decay of log_gate (DeltaNet, Gated DeltaNet, KDA).";

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

Transition TransitionOf(const OpCall& call) {
  const std::string name = call.text("transition", "");
  for (int i = 0; i < 5; ++i) {
    if (name == kTransitions[i]) return static_cast<Transition>(i);
  }
  return Implied(call);
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

absl::Status CheckTensors(OpCall& call) {
  const Transition transition = TransitionOf(call);
  const bool gates = HasGates(transition);
  const bool dense = transition == Transition::kDense;
  const bool constant = transition == Transition::kConstant;
  RETURN_IF_ERROR(CheckUse(call, "log_gate", gates, gates || dense));
  RETURN_IF_ERROR(CheckUse(call, "log_decay", constant, constant));
  return CheckUse(call, "beta", dense, dense);
}

LinearAttentionInputs InputsOf(const OpCall& call) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(call.size("Dk")));
  return {TransitionOf(call),   call.number("scale", scale),
          call.in("q"),         call.in("k"),
          call.in("v"),         call.in("log_gate"),
          call.in("log_decay"), call.in("beta"),
          call.documents()};
}

absl::StatusOr<kernels::TensorView> Workspace(OpCall& call,
                                              LinearAttentionStage stage) {
  LinearAttentionShape shape = {call.size("B"),  call.size("T"),
                                call.size("H"),  call.size("Dk"),
                                call.size("Dv"), call.element_bytes()};
  const Transition transition = TransitionOf(call);
  if (transition == Transition::kVector) {
    shape.decay = LinearAttentionDecay::kChannel;
  } else if (transition == Transition::kDense) {
    shape.decay = LinearAttentionDecay::kMatrix;
  }
  return call.Workspace(
      LinearAttentionWorkspaceBytes(stage, shape, call.kind(), call.threads()));
}

absl::Status Forward(OpCall& call) {
  ASSIGN_OR_RETURN(const auto workspace,
                   Workspace(call, LinearAttentionStage::kOutputs));
  return call.backend().linear_attention().Outputs(
      InputsOf(call), call.in("initial_state"), kernels::ChunkTerms::kAll,
      {call.out("o"), call.out("final_state")}, workspace, call.stream());
}

absl::Status Backward(OpCall& call) {
  ASSIGN_OR_RETURN(const auto workspace,
                   Workspace(call, LinearAttentionStage::kGradients));
  return call.backend().linear_attention().Gradients(
      InputsOf(call), call.in("initial_state"),
      {call.in("d_o"), call.in("d_final_state")}, kernels::ChunkTerms::kAll,
      {call.out("d_q"), call.out("d_k"), call.out("d_v"),
       call.out("d_log_gate"), call.out("d_initial_state"), call.out("d_beta")},
      workspace, call.stream());
}

std::vector<OpTensor> Tensors() {
  using R = TensorRole;
  using T = TensorType;
  constexpr char kState[] = "B H Dk Dv";
  return {
      {R::kInput, "q", T::kOperand, "B T H Dk", "queries"},
      {R::kInput, "k", T::kOperand, "B T H Dk",
       "keys; dense is stable for beta |k|^2 <= 2", -0.5, 0.5},
      {R::kInput, "v", T::kOperand, "B T H Dv", "values"},
      {R::kOptional, "log_gate", T::kSum, "B T H | B T H Dk",
       "logarithms of decays per token, so never above 0 (scalar; vector; "
       "either with dense)",
       -0.5, 0.0, 0.0},
      {R::kOptional, "log_decay", T::kSum, "H",
       "logarithm of each head's decay, so never above 0 (constant)", -0.5, 0.0,
       0.0},
      {R::kOptional, "beta", T::kSum, "B T H", "writing strengths (dense)", 0.0,
       1.0},
      {R::kOptional, "initial_state", T::kSum, kState, "S_0; default 0"},
      {R::kOptional, "document_starts", T::kI64, "N",
       "first tokens of packed documents, rising, B = 1: fla's cu_seqlens "
       "without its last entry",
       0, 8},
      {R::kSeed, "d_o", T::kOperand, "", ""},
      {R::kOptionalSeed, "d_final_state", T::kSum, "", ""},
      {R::kOutput, "o", T::kOperand, "B T H Dv", "outputs"},
      {R::kOutput, "final_state", T::kSum, kState, "S_T"},
      {R::kGradient, "d_q", T::kOperand, "", ""},
      {R::kGradient, "d_k", T::kOperand, "", ""},
      {R::kGradient, "d_v", T::kOperand, "", ""},
      {R::kGradient, "d_log_gate", T::kSum, "", ""},
      {R::kGradient, "d_beta", T::kSum, "", ""},
      {R::kGradient, "d_initial_state", T::kSum, "", ""},
  };
}

std::vector<OpVariant> Variants() {
  return {
      {"identity"},
      {"constant", {}, {{"log_decay", 0}}},
      {"scalar gates", {}, {{"log_gate", 0}}},
      {"vector gates", {}, {{"log_gate", 1}}},
      {"delta rule", {}, {{"beta", 0}}},
      {"delta rule, scalar gates", {}, {{"beta", 0}, {"log_gate", 0}}},
      {"delta rule, vector gates", {}, {{"beta", 0}, {"log_gate", 1}}},
  };
}

}  // namespace

std::vector<OpDescription> LinearAttentionOps() {
  OpDescription op;
  op.name = "linear_attention";
  op.equation = kEquation;
  op.tensors = Tensors();
  op.flags = {
      {"transition",
       FlagKind::kChoice,
       "default: what the tensors say",
       {kTransitions, kTransitions + 5}},
      {"scale", FlagKind::kNumber, "default: 1/sqrt(Dk)"},
  };
  op.example_sizes = {{"B", 1},  {"T", 5},  {"H", 2},
                      {"Dk", 4}, {"Dv", 3}, {"N", 2}};
  op.variants = Variants();
  op.sizes = CheckTensors;
  op.forward = Forward;
  op.backward = Backward;
  return {op};
}

}  // namespace longspan::cli
