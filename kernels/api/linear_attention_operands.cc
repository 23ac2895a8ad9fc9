#include "kernels/api/linear_attention_operands.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kMaxHeadDim = 512;

absl::Status CheckSizes(const char* op, const LinearAttentionSizes& sizes) {
  OperandCheck check(op);
  check.That(sizes.tokens >= 1, "needs at least 1 token");
  check.That(1 <= sizes.key_dim && sizes.key_dim <= kMaxHeadDim,
             absl::StrCat("key dimension ", sizes.key_dim, " is outside [1, ",
                          kMaxHeadDim, "]"));
  check.That(1 <= sizes.value_dim && sizes.value_dim <= kMaxHeadDim,
             absl::StrCat("value dimension ", sizes.value_dim,
                          " is outside [1, ", kMaxHeadDim, "]"));
  return check.status();
}

absl::Status CheckKeyHeads(const char* op, const char* key_name,
                           const char* value_name, int64_t key_heads,
                           int64_t heads) {
  OperandCheck check(op);
  const bool none = key_heads == 0 && heads == 0;
  check.That(none || (key_heads >= 1 && heads % key_heads == 0),
             absl::StrCat(value_name, " has ", heads, " heads, not a multiple",
                          " of the ", key_heads, " of ", key_name));
  return check.status();
}

// Sizes from a key-like [B, T, Hk, Dk] and a value-like operand [B, T, H, Dv].
absl::StatusOr<LinearAttentionSizes> SizesFrom(const char* op,
                                               const OperandRules& rules,
                                               const char* key_name,
                                               const ConstTensorView& key,
                                               const char* value_name,
                                               const ConstTensorView& value) {
  OperandCheck check(op, rules);
  check.Floating(key_name, key).Rank(key_name, key, 4);
  check.Floating(value_name, value).Rank(value_name, value, 4);
  RETURN_IF_ERROR(check.status());
  const LinearAttentionSizes sizes = {key.dtype(),   key.size(0), key.size(1),
                                      value.size(2), key.size(3), value.size(3),
                                      key.size(2)};
  RETURN_IF_ERROR(CheckSizes(op, sizes));
  RETURN_IF_ERROR(
      CheckKeyHeads(op, key_name, value_name, sizes.key_heads, sizes.heads));
  check
      .Shape(value_name, value,
             {sizes.batch, sizes.tokens, sizes.heads, sizes.value_dim})
      .Type(value_name, value, sizes.dtype);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

void CheckOperand(OperandCheck& check, const char* name,
                  const ConstTensorView& view, DType dtype,
                  std::initializer_list<int64_t> shape) {
  check.Floating(name, view).Type(name, view, dtype).Shape(name, view, shape);
}

void CheckKeyLike(OperandCheck& check, const char* name,
                  const ConstTensorView& view,
                  const LinearAttentionSizes& sizes) {
  CheckOperand(check, name, view, sizes.dtype,
               {sizes.batch, sizes.tokens, sizes.key_heads, sizes.key_dim});
}

void CheckValueLike(OperandCheck& check, const char* name,
                    const ConstTensorView& view,
                    const LinearAttentionSizes& sizes) {
  CheckOperand(check, name, view, sizes.dtype,
               {sizes.batch, sizes.tokens, sizes.heads, sizes.value_dim});
}

void CheckState(OperandCheck& check, const char* name,
                const ConstTensorView& view,
                const LinearAttentionSizes& sizes) {
  CheckOperand(check, name, view, AccumulatorOf(sizes.dtype),
               {sizes.batch, sizes.heads, sizes.key_dim, sizes.value_dim});
}

// Gates need not be contiguous in any dimension.
void CheckStrided(OperandCheck& check, const char* name,
                  const ConstTensorView& view, DType dtype,
                  std::initializer_list<int64_t> shape) {
  check.Present(name, view).Type(name, view, dtype).Shape(name, view, shape);
}

// A gate per token and head, or with `channels` one per channel too.
void CheckGate(OperandCheck& check, const char* name,
               const ConstTensorView& gate, bool channels,
               const LinearAttentionSizes& sizes) {
  const DType dtype = AccumulatorOf(sizes.dtype);
  if (channels) {
    CheckOperand(check, name, gate, dtype,
                 {sizes.batch, sizes.tokens, sizes.heads, sizes.key_dim});
  } else {
    CheckStrided(check, name, gate, dtype,
                 {sizes.batch, sizes.tokens, sizes.heads});
  }
}

absl::Status CheckTransition(const char* op,
                             const LinearAttentionInputs& inputs,
                             const LinearAttentionSizes& sizes) {
  OperandCheck check(op);
  switch (inputs.transition) {
    case Transition::kIdentity:
      return absl::OkStatus();
    case Transition::kConstant:
      CheckStrided(check, "log_decay", inputs.log_decay,
                   AccumulatorOf(sizes.dtype), {sizes.heads});
      return check.status();
    case Transition::kScalar:
    case Transition::kVector:
      CheckGate(check, "log_gate", inputs.log_gate,
                inputs.transition == Transition::kVector, sizes);
      return check.status();
    case Transition::kDense:
      CheckGate(check, "beta", inputs.beta, false, sizes);
      if (!inputs.log_gate.is_null()) {
        CheckGate(check, "log_gate", inputs.log_gate,
                  inputs.log_gate.rank() == 4, sizes);
      }
      return check.status();
  }
  return absl::UnimplementedError(absl::StrCat(
      op, ": unknown transition ", static_cast<int>(inputs.transition)));
}

void CheckGateGradients(OperandCheck& check,
                        const LinearAttentionInputs& inputs,
                        const LinearAttentionGradients& gradients,
                        const LinearAttentionSizes& sizes) {
  const bool dense = inputs.transition == Transition::kDense;
  if (dense) CheckGate(check, "d_beta", gradients.d_beta, false, sizes);
  if (HasGates(inputs.transition) || (dense && !inputs.log_gate.is_null())) {
    CheckGate(check, "d_log_gate", gradients.d_log_gate,
              inputs.log_gate.rank() == 4, sizes);
  }
}

void CheckSummaryDecay(OperandCheck& check, Transition transition,
                       const LinearAttentionSummary& summary,
                       const LinearAttentionSizes& sizes) {
  const DType dtype = AccumulatorOf(sizes.dtype);
  const bool dense = transition == Transition::kDense;
  check.That(!dense || summary.log_decay.is_null(),
             "the delta rule has a summary transition, and no log_decay");
  check.That(dense || summary.transition.is_null(),
             "only the delta rule has a summary transition");
  if (dense) {
    CheckOperand(check, "summary transition", summary.transition, dtype,
                 {sizes.batch, sizes.heads, sizes.key_dim, sizes.key_dim});
  } else if (transition == Transition::kVector) {
    CheckOperand(check, "summary log_decay", summary.log_decay, dtype,
                 {sizes.batch, sizes.heads, sizes.key_dim});
  } else {
    CheckStrided(check, "summary log_decay", summary.log_decay, dtype,
                 {sizes.batch, sizes.heads});
  }
}

void CheckDecays(OperandCheck& check, const ConstTensorView& decays,
                 const ConstTensorView& states) {
  const DType dtype = states.dtype();
  const int64_t keys = states.size(3);
  if (decays.rank() == 5) {
    CheckOperand(check, "decays", decays, dtype,
                 {states.size(0), states.size(1), states.size(2), keys, keys});
  } else if (decays.rank() == 4) {
    CheckOperand(check, "decays", decays, dtype,
                 {states.size(0), states.size(1), states.size(2), keys});
  } else {
    CheckStrided(check, "decays", decays, dtype,
                 {states.size(0), states.size(1), states.size(2)});
  }
}

void CheckSnapshots(OperandCheck& check, const LinearAttentionOutputs& outputs,
                    const LinearAttentionSizes& sizes) {
  const int64_t interval = outputs.snapshot_interval;
  const TensorView& states = outputs.prefix_states;
  if (interval == 0) {
    check.That(states.is_null(), "prefix_states needs a snapshot_interval");
    return;
  }
  check.That(interval > 0 && interval % kSnapshotTokens == 0,
             absl::StrCat("snapshot_interval ", interval,
                          " is not a positive multiple of ", kSnapshotTokens,
                          " tokens"));
  const int64_t count = SnapshotCount(sizes.tokens, interval);
  if (count == 0 && states.is_null()) return;
  CheckOperand(
      check, "prefix_states", states, AccumulatorOf(sizes.dtype),
      {sizes.batch, count, sizes.heads, sizes.key_dim, sizes.value_dim});
}

absl::Status CheckCommon(const char* op, const OperandRules& rules,
                         const LinearAttentionInputs& inputs,
                         const LinearAttentionSizes& sizes) {
  RETURN_IF_ERROR(CheckTransition(op, inputs, sizes));
  return CheckDocuments(op, inputs.documents, sizes.batch, sizes.tokens, rules);
}

}  // namespace

absl::Status CheckDocuments(const char* op, const Documents& documents,
                            int64_t batch, int64_t tokens,
                            const OperandRules& rules) {
  OperandCheck check(op, rules);
  if (documents.empty()) return absl::OkStatus();
  check.That(batch == 1, absl::StrCat("documents need batch 1, not ", batch));
  int64_t previous = -1;
  for (int64_t i = 0; i < documents.count; ++i) {
    const int64_t start = documents.starts[i];
    check.That(previous < start && start < tokens,
               absl::StrCat("document start ", start, " must be above ",
                            previous, " and below ", tokens));
    previous = start;
  }
  check.That(rules.readable || documents.device_starts != nullptr,
             "the document starts are not in device memory");
  return check.status();
}

absl::StatusOr<LinearAttentionSizes> CheckSummarise(
    const LinearAttentionInputs& inputs, const LinearAttentionSummary& summary,
    const OperandRules& rules) {
  constexpr char kOp[] = "Summarise";
  ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                   SizesFrom(kOp, rules, "k", inputs.k, "v", inputs.v));
  RETURN_IF_ERROR(CheckCommon(kOp, rules, inputs, sizes));
  OperandCheck check(kOp, rules);
  CheckState(check, "state", summary.state, sizes);
  CheckSummaryDecay(check, inputs.transition, summary, sizes);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

absl::StatusOr<LinearAttentionSizes> CheckOutputs(
    const LinearAttentionInputs& inputs, ConstTensorView initial_state,
    const LinearAttentionOutputs& outputs, const OperandRules& rules) {
  constexpr char kOp[] = "Outputs";
  ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                   SizesFrom(kOp, rules, "k", inputs.k, "v", inputs.v));
  RETURN_IF_ERROR(CheckCommon(kOp, rules, inputs, sizes));
  OperandCheck check(kOp, rules);
  CheckKeyLike(check, "q", inputs.q, sizes);
  CheckValueLike(check, "o", outputs.o, sizes);
  if (!initial_state.is_null()) {
    CheckState(check, "initial_state", initial_state, sizes);
  }
  if (!outputs.final_state.is_null()) {
    CheckState(check, "final_state", outputs.final_state, sizes);
  }
  CheckSnapshots(check, outputs, sizes);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

absl::StatusOr<LinearAttentionSizes> CheckSummariseBackward(
    const LinearAttentionInputs& inputs, ConstTensorView d_o,
    TensorView d_state, const OperandRules& rules) {
  constexpr char kOp[] = "SummariseBackward";
  ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                   SizesFrom(kOp, rules, "q", inputs.q, "d_o", d_o));
  RETURN_IF_ERROR(CheckCommon(kOp, rules, inputs, sizes));
  OperandCheck check(kOp, rules);
  if (inputs.transition == Transition::kDense) {
    CheckKeyLike(check, "k", inputs.k, sizes);
  }
  CheckState(check, "d_state", d_state, sizes);
  RETURN_IF_ERROR(check.status());
  return sizes;
}

absl::StatusOr<LinearAttentionSizes> CheckGradients(
    const LinearAttentionInputs& inputs, ConstTensorView initial_state,
    const LinearAttentionOutputGradients& output_gradients,
    const LinearAttentionGradients& gradients, const OperandRules& rules) {
  constexpr char kOp[] = "Gradients";
  ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                   SizesFrom(kOp, rules, "k", inputs.k, "v", inputs.v));
  RETURN_IF_ERROR(CheckCommon(kOp, rules, inputs, sizes));
  OperandCheck check(kOp, rules);
  CheckKeyLike(check, "q", inputs.q, sizes);
  CheckValueLike(check, "d_o", output_gradients.d_o, sizes);
  CheckKeyLike(check, "d_q", gradients.d_q, sizes);
  CheckKeyLike(check, "d_k", gradients.d_k, sizes);
  CheckValueLike(check, "d_v", gradients.d_v, sizes);
  CheckGateGradients(check, inputs, gradients, sizes);
  if (!initial_state.is_null()) {
    CheckState(check, "initial_state", initial_state, sizes);
  }
  if (!output_gradients.d_final_state.is_null()) {
    CheckState(check, "d_final_state", output_gradients.d_final_state, sizes);
  }
  if (!gradients.d_initial_state.is_null()) {
    CheckState(check, "d_initial_state", gradients.d_initial_state, sizes);
  }
  RETURN_IF_ERROR(check.status());
  return sizes;
}

absl::Status CheckFoldSummaries(ConstTensorView states, ConstTensorView decays,
                                ConstTensorView initial_state, TensorView state,
                                const OperandRules& rules) {
  OperandCheck check("FoldSummaries", rules);
  check.Accumulator("state", state).Rank("state", state, 4);
  RETURN_IF_ERROR(check.status());
  if (!initial_state.is_null()) {
    CheckOperand(check, "initial_state", initial_state, state.dtype(),
                 {state.size(0), state.size(1), state.size(2), state.size(3)});
  }
  if (states.is_null()) return check.status();
  check.Accumulator("states", states).Rank("states", states, 5);
  RETURN_IF_ERROR(check.status());
  CheckOperand(check, "states", states, state.dtype(),
               {states.size(0), state.size(0), state.size(1), state.size(2),
                state.size(3)});
  CheckDecays(check, decays, states);
  return check.status();
}

absl::StatusOr<LinearAttentionSizes> CheckDecode(
    const LinearAttentionInputs& inputs, ConstTensorView slots,
    TensorView state_pool, TensorView o, const OperandRules& rules) {
  constexpr char kOp[] = "Decode";
  ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                   SizesFrom(kOp, rules, "k", inputs.k, "v", inputs.v));
  RETURN_IF_ERROR(CheckTransition(kOp, inputs, sizes));
  OperandCheck check(kOp, rules);
  check.That(inputs.documents.empty(), "documents are not allowed");
  CheckKeyLike(check, "q", inputs.q, sizes);
  CheckValueLike(check, "o", o, sizes);
  CheckStrided(check, "slots", slots, DType::kI32, {sizes.batch});
  check.Accumulator("state_pool", state_pool).Rank("state_pool", state_pool, 4);
  RETURN_IF_ERROR(check.status());
  CheckOperand(
      check, "state_pool", state_pool, AccumulatorOf(sizes.dtype),
      {state_pool.size(0), sizes.heads, sizes.key_dim, sizes.value_dim});
  RETURN_IF_ERROR(check.status());
  if (!rules.readable) return sizes;
  const auto* ids = slots.data_as<int32_t>();
  for (int64_t b = 0; b < sizes.batch; ++b) {
    const int32_t slot = ids[b * slots.stride(0)];
    check.That(0 <= slot && slot < state_pool.size(0),
               absl::StrCat("slot ", slot, " of row ", b,
                            " is outside a pool of ", state_pool.size(0)));
  }
  RETURN_IF_ERROR(check.status());
  return sizes;
}

}  // namespace longspan::kernels
