#include "kernels/api/linear_attention.h"

#include "cli/op/linear_attention_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/api/linear_attention_operands.h"

namespace longspan::cli {
namespace {

using kernels::LinearAttentionStage;
using kernels::TensorView;
using kernels::Transition;
using R = TensorRole;
using T = TensorType;

constexpr char kState[] = "B H Dk Dv";

constexpr char kRecurrence[] =
    "S_t = a_t S_(t-1) + k_t^T v_t        o_t = scale * q_t S_t\n"
    "a_t: identity 1; constant exp(log_decay[h]); scalar exp(log_gate[t, h]);\n"
    "vector diag(exp(log_gate[t, h, :])); dense, the delta rule:\n"
    "S_t = (I - beta_t k_t^T k_t) d_t S_(t-1) + beta_t k_t^T v_t, with d_t 1 "
    "or\nthe decay of log_gate (DeltaNet, Gated DeltaNet, KDA).";

// Tensors of tokens, then `more`.
std::vector<OpTensor> WithTokens(std::vector<OpTensor> more) {
  std::vector<OpTensor> tensors = TokenTensors();
  tensors.insert(tensors.end(), more.begin(), more.end());
  return tensors;
}

int64_t SnapshotInterval(const OpCall& call) {
  return call.integer("snapshot-interval", 0);
}

// prefix_states is made where there are any.
absl::Status ChooseSnapshots(OpCall& call) {
  RETURN_IF_ERROR(CheckTransitionTensors(call));
  const int64_t count =
      kernels::SnapshotCount(call.size("T"), SnapshotInterval(call));
  if (count == 0) {
    call.Choose("prefix_states", std::nullopt);
  } else {
    call.sizes().Set("P", count);
  }
  return absl::OkStatus();
}

absl::Status LinearForward(OpCall& call) {
  ASSIGN_OR_RETURN(
      const TensorView workspace,
      LinearAttentionWorkspace(call, LinearAttentionStage::kOutputs));
  return call.backend().linear_attention().Outputs(
      LinearAttentionInputsOf(call), call.in("initial_state"),
      kernels::ChunkTerms::kAll,
      {call.out("o"), call.out("final_state"), call.out("prefix_states"),
       SnapshotInterval(call)},
      workspace, call.stream());
}

absl::Status LinearBackward(OpCall& call) {
  ASSIGN_OR_RETURN(
      const TensorView workspace,
      LinearAttentionWorkspace(call, LinearAttentionStage::kGradients));
  return call.backend().linear_attention().Gradients(
      LinearAttentionInputsOf(call), call.in("initial_state"),
      {call.in("d_o"), call.in("d_final_state")}, kernels::ChunkTerms::kAll,
      {call.out("d_q"), call.out("d_k"), call.out("d_v"),
       call.out("d_log_gate"), call.out("d_initial_state"), call.out("d_beta")},
      workspace, call.stream());
}

// With each transition; and with one, what else a call may have.
std::vector<OpVariant> LinearVariants() {
  std::vector<OpVariant> variants = TransitionVariants();
  const std::vector<OpVariant> transitions = variants;
  for (OpVariant variant : transitions) {
    variant.name += ", states";
    variant.tensors["initial_state"] = 0;
    variant.tensors["d_final_state"] = 0;
    variants.push_back(variant);
  }
  for (OpVariant variant : transitions) {
    variant.name += ", documents";
    variant.tensors["document_starts"] = 0;
    variants.push_back(variant);
  }
  for (OpVariant variant : transitions) {
    variant.name += ", shared keys";
    variant.sizes = {{"H", 4}, {"Hk", 2}};
    variants.push_back(variant);
  }
  for (OpVariant variant : transitions) {
    variant.name += ", snapshots";
    variant.flags["snapshot-interval"] = "64";
    variant.sizes = {{"T", 66}, {"H", 1}, {"Hk", 1}, {"Dk", 2}, {"Dv", 1}};
    variants.push_back(variant);
  }
  return variants;
}

OpDescription Whole() {
  OpDescription op;
  op.name = "linear_attention";
  op.equation = kRecurrence;
  op.tensors = WithTokens({
      {R::kOptional, "initial_state", T::kSum, kState, "S_0; default 0"},
      DocumentStarts(),
      {R::kSeed, "d_o", T::kOperand, "", ""},
      {R::kOptionalSeed, "d_final_state", T::kSum, "", ""},
      {R::kOutput, "o", T::kOperand, "B T H Dv", "outputs"},
      {R::kOutput, "final_state", T::kSum, kState, "S_T"},
      {R::kOutput, "prefix_states", T::kSum, "B P H Dk Dv",
       "with --snapshot-interval: S after each n tokens but the last"},
      {R::kGradient, "d_q", T::kOperand, "", ""},
      {R::kGradient, "d_k", T::kOperand, "", ""},
      {R::kGradient, "d_v", T::kOperand, "", ""},
      {R::kGradient, "d_log_gate", T::kSum, "", ""},
      {R::kGradient, "d_beta", T::kSum, "", ""},
      {R::kGradient, "d_initial_state", T::kSum, "", ""},
  });
  op.flags = LinearAttentionFlags();
  op.flags.push_back({"snapshot-interval", FlagKind::kInteger,
                      "tokens between prefix_states, a multiple of 64; "
                      "default: none are made"});
  op.example_sizes = {{"B", 1},  {"T", 5},  {"H", 2}, {"Hk", 2},
                      {"Dk", 4}, {"Dv", 3}, {"N", 2}};
  op.variants = LinearVariants();
  op.sizes = ChooseSnapshots;
  op.forward = LinearForward;
  op.backward = LinearBackward;
  return op;
}

// A summary has the decay of one kind.
absl::Status ChooseSummary(OpCall& call) {
  RETURN_IF_ERROR(CheckTransitionTensors(call));
  const Transition transition = TransitionOf(call);
  if (transition == Transition::kDense) {
    call.Choose("summary_log_decay", std::nullopt);
  } else {
    call.Choose("summary_transition", std::nullopt);
    call.Choose("summary_log_decay", transition == Transition::kVector ? 1 : 0);
  }
  return absl::OkStatus();
}

OpDescription Summary() {
  OpDescription op;
  op.name = "linear_attention_summary";
  op.equation =
      "What these tokens do to an incoming state:\n"
      "S -> exp(summary_log_decay) S + summary_state, or with dense\n"
      "S -> summary_transition S + summary_state. Ranks exchange these.";
  op.tensors = WithTokens({
      DocumentStarts(),
      {R::kOutput, "summary_state", T::kSum, kState, "state that is added"},
      {R::kOutput, "summary_log_decay", T::kSum, "B H | B H Dk",
       "of a head, or with vector of a row; -inf where a document starts"},
      {R::kOutput, "summary_transition", T::kSum, "B H Dk Dk", "with dense"},
  });
  op.tensors.erase(op.tensors.begin());  // q
  op.flags = LinearAttentionFlags();
  op.flags.pop_back();  // scale
  op.example_sizes = Whole().example_sizes;
  op.variants = TransitionVariants();
  op.sizes = ChooseSummary;
  op.forward = [](OpCall& call) -> absl::Status {
    ASSIGN_OR_RETURN(
        const TensorView workspace,
        LinearAttentionWorkspace(call, LinearAttentionStage::kSummarise));
    return call.backend().linear_attention().Summarise(
        LinearAttentionInputsOf(call),
        {call.out("summary_state"), call.out("summary_log_decay"),
         call.out("summary_transition")},
        workspace, call.stream());
  };
  return op;
}

OpDescription Fold() {
  OpDescription op;
  op.name = "linear_attention_fold";
  op.equation =
      "state = S after S <- exp(decays_i) S + states_i for i = 0 .. W-1, from\n"
      "initial_state; a matrix in decays is multiplied instead. --reverse\n"
      "goes from W-1 to 0, with the matrices transposed.";
  op.tensors = {
      {R::kInput, "states", T::kSum, "W B H Dk Dv", "of summaries"},
      {R::kInput, "decays", T::kSum, "W B H | W B H Dk | W B H Dk Dk",
       "log decays or transitions of summaries", -0.5, 0.0},
      {R::kOptional, "initial_state", T::kSum, kState, "default 0"},
      {R::kOutput, "state", T::kSum, kState, "result"},
  };
  op.flags = {{"reverse", FlagKind::kSwitch, "the gradient's direction"}};
  op.example_sizes = {{"W", 3}, {"B", 1}, {"H", 2}, {"Dk", 4}, {"Dv", 3}};
  op.variants = {{"scalar decays", {}, {{"initial_state", 0}}},
                 {"vector decays", {}, {{"decays", 1}}},
                 {"matrices", {}, {{"decays", 2}}},
                 {"matrices, reverse", {{"reverse", "1"}}, {{"decays", 2}}}};
  op.forward = [](OpCall& call) {
    return call.backend().linear_attention().FoldSummaries(
        call.in("states"), call.in("decays"), call.in("initial_state"),
        call.given("reverse"), call.out("state"), call.stream());
  };
  return op;
}

OpDescription Decode() {
  OpDescription op;
  op.name = "linear_attention_decode";
  op.equation =
      "the same recurrence for new tokens of B texts, each from the state of\n"
      "its slot in a pool, which it leaves there";
  op.tensors = WithTokens({
      {R::kInput,
       "slots",
       T::kI32,
       "B",
       "all different, in [0, S)",
       0,
       2,
       0.0,
       {},
       "S"},
      {R::kInput, "state_pool", T::kSum, "S H Dk Dv", "states"},
      {R::kOutput, "o", T::kOperand, "B T H Dv", "outputs"},
      {R::kOutput, "new_state_pool", T::kSum, "S H Dk Dv", "states"},
  });
  op.flags = LinearAttentionFlags();
  op.example_sizes = {{"B", 2},  {"T", 1},  {"H", 2}, {"Hk", 2},
                      {"Dk", 4}, {"Dv", 3}, {"S", 3}};
  op.variants = TransitionVariants();
  op.sizes = CheckTransitionTensors;
  op.forward = [](OpCall& call) -> absl::Status {
    RETURN_IF_ERROR(call.backend().elementwise().Copy(
        call.in("state_pool"), call.out("new_state_pool"), call.stream()));
    return call.backend().linear_attention().Decode(
        LinearAttentionInputsOf(call), call.in("slots"),
        call.out("new_state_pool"), call.out("o"), call.stream());
  };
  return op;
}

}  // namespace

std::vector<OpDescription> LinearAttentionOps() {
  return {Whole(), Summary(), Fold(), Decode()};
}

}  // namespace longspan::cli
