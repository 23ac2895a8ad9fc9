// The linear-attention entry points: checks, plan, launches.
#include "kernels/api/linear_attention.h"

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/linear_attention_call.h"
#include "kernels/cuda/linear_attention_kernels.h"

namespace longspan::kernels::cuda {
namespace {

using Stage = LinearAttentionStage;

// Slot `index` of states that lie one after the other.
StateSlots SlotsFrom(StateSlots slots, int64_t index) {
  slots.data += index * slots.stride_segment;
  return slots;
}

class CudaLinearAttention : public LinearAttention {
 public:
  absl::Status Summarise(const LinearAttentionInputs& inputs,
                         const LinearAttentionSummary& summary,
                         TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                     CheckSummarise(inputs, summary, kCudaOperands));
    LinearAttentionCall call(inputs, sizes, Stage::kSummarise, workspace,
                             CudaStream::Of(stream));
    RETURN_IF_ERROR(call.Check("Summarise"));
    call.UseOperands({inputs.k, inputs.v});
    RETURN_IF_ERROR(call.Tables());
    RETURN_IF_ERROR(call.SegmentDecays(summary.log_decay));
    RETURN_IF_ERROR(call.Summaries(
        {call.StateSummary(call.states(), /*skip_last=*/false)}));
    return call.Fold(call.states(), {}, ViewOfState(summary.state), false,
                     false);
  }

  absl::Status Outputs(const LinearAttentionInputs& inputs,
                       ConstTensorView initial_state, ChunkTerms terms,
                       const LinearAttentionOutputs& outputs,
                       TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(
        const LinearAttentionSizes sizes,
        CheckOutputs(inputs, initial_state, outputs, kCudaOperands));
    LinearAttentionCall call(inputs, sizes, Stage::kOutputs, workspace,
                             CudaStream::Of(stream));
    RETURN_IF_ERROR(call.Check("Outputs"));
    RETURN_IF_ERROR(CheckSnapshots("Outputs", outputs));
    call.UseOperands({inputs.q, inputs.k, inputs.v, outputs.o});
    RETURN_IF_ERROR(call.Tables());
    // One segment alone has nothing to fold.
    if (call.segments() > 1 || terms == ChunkTerms::kInterChunk) {
      RETURN_IF_ERROR(call.SegmentDecays({}));
    }
    const StateSlots initial = ViewOfState(initial_state);
    const StateSlots leaving = ViewOfState(outputs.final_state);
    ScanRole role = call.OutputRole(outputs.o);
    if (terms == ChunkTerms::kInterChunk) {
      return InterOutputs(call, role, initial, leaving);
    }
    const bool all = terms == ChunkTerms::kAll;
    role.entering = all ? initial : StateSlots();
    if (all) role.leaving = leaving;
    if (call.segments() > 1) {
      RETURN_IF_ERROR(call.Summaries({call.StateSummary(call.states(), true)}));
      RETURN_IF_ERROR(call.Fold(call.states(), role.entering, {}, false, true));
      role.entering = call.states();
    }
    return call.Scan({role}, false);
  }

  absl::Status SummariseBackward(const LinearAttentionInputs& inputs,
                                 ConstTensorView d_o, TensorView d_state,
                                 TensorView workspace,
                                 Stream& stream) override {
    ASSIGN_OR_RETURN(
        const LinearAttentionSizes sizes,
        CheckSummariseBackward(inputs, d_o, d_state, kCudaOperands));
    LinearAttentionCall call(inputs, sizes, Stage::kSummariseBackward,
                             workspace, CudaStream::Of(stream));
    RETURN_IF_ERROR(call.Check("SummariseBackward"));
    call.UseOperands({inputs.q, d_o});
    RETURN_IF_ERROR(call.Tables());
    RETURN_IF_ERROR(call.SegmentDecays({}));
    RETURN_IF_ERROR(call.Summaries(
        {call.GradientSummary(d_o, call.d_states(), /*skip_last=*/false)}));
    return call.Fold(call.d_states(), {}, ViewOfState(d_state), true, false);
  }

  absl::Status Gradients(const LinearAttentionInputs& inputs,
                         ConstTensorView initial_state,
                         const LinearAttentionOutputGradients& output_gradients,
                         ChunkTerms terms,
                         const LinearAttentionGradients& gradients,
                         TensorView workspace, Stream& stream) override {
    ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                     CheckGradients(inputs, initial_state, output_gradients,
                                    gradients, kCudaOperands));
    LinearAttentionCall call(inputs, sizes, Stage::kGradients, workspace,
                             CudaStream::Of(stream));
    RETURN_IF_ERROR(call.Check("Gradients"));
    call.UseOperands({inputs.q, inputs.k, inputs.v, output_gradients.d_o,
                      gradients.d_q, gradients.d_k, gradients.d_v});
    RETURN_IF_ERROR(call.Tables());
    if (call.folds() || terms == ChunkTerms::kInterChunk) {
      RETURN_IF_ERROR(call.SegmentDecays({}));
    }
    const Ends ends = {ViewOfState(initial_state),
                       ViewOfState(output_gradients.d_final_state),
                       ViewOfState(gradients.d_initial_state)};
    switch (terms) {
      case ChunkTerms::kAll:
        return WholeGradients(call, output_gradients.d_o, gradients, ends);
      case ChunkTerms::kIntraChunk:
        return WholeGradients(call, output_gradients.d_o, gradients, Ends());
      case ChunkTerms::kInterChunk:
        return InterGradients(call, output_gradients.d_o, gradients, ends);
    }
    return absl::InvalidArgumentError("Gradients: unknown chunk terms");
  }

  absl::Status FoldSummaries(ConstTensorView states, ConstTensorView log_decays,
                             ConstTensorView initial_state, bool reverse,
                             TensorView state, Stream& stream) override {
    RETURN_IF_ERROR(CheckFoldSummaries(states, log_decays, initial_state, state,
                                       kCudaOperands));
    constexpr Transition kByRank[] = {Transition::kScalar, Transition::kVector,
                                      Transition::kDense};
    RETURN_IF_ERROR(CheckTransition(
        "FoldSummaries", kByRank[std::max(0, log_decays.rank() - 3)]));
    const FoldParams params =
        FoldOfRanks(states, log_decays, initial_state, reverse, state);
    return LaunchFold(params, CudaStream::Of(stream).native_handle());
  }

  absl::Status Decode(const LinearAttentionInputs& inputs,
                      ConstTensorView slots, TensorView state_pool,
                      TensorView o, Stream& stream) override {
    ASSIGN_OR_RETURN(const LinearAttentionSizes sizes,
                     CheckDecode(inputs, slots, state_pool, o, kCudaOperands));
    RETURN_IF_ERROR(CheckTransition("Decode", inputs.transition));
    RETURN_IF_ERROR(CheckKeyHeads("Decode", sizes));
    RETURN_IF_ERROR(CheckHeadDims("Decode", sizes));
    // A block per 128 columns of a state; two of them at most.
    RETURN_IF_ERROR(
        CheckGrid("Decode", 2 * sizes.batch * sizes.heads, "batch or heads"));
    const DecodeParams params = DecodeOf(inputs, sizes, slots, state_pool, o);
    return LaunchDecode(params, CudaStream::Of(stream).native_handle());
  }

 private:
  // The states at the ends of a range; absent ones are zero.
  struct Ends {
    StateSlots initial;
    StateSlots d_final;
    StateSlots d_initial;  // written
  };

  static absl::Status InterOutputs(LinearAttentionCall& call, ScanRole role,
                                   const StateSlots& initial,
                                   const StateSlots& leaving) {
    if (leaving.data != nullptr) {
      RETURN_IF_ERROR(
          call.Summaries({call.StateSummary(call.states(), false)}));
      RETURN_IF_ERROR(call.Fold(call.states(), initial, leaving, false, false));
    }
    if (initial.data == nullptr) return absl::OkStatus();
    role.entering = initial;
    role.entering_log2 = call.entering_log2();
    return call.Scan({role}, true);
  }

  static absl::Status WholeGradients(LinearAttentionCall& call,
                                     ConstTensorView d_o,
                                     const LinearAttentionGradients& gradients,
                                     const Ends& ends) {
    GradientRoles roles = call.RolesOfGradients(d_o, gradients);
    StateSlots entering = ends.initial;
    StateSlots d_entering = ends.d_final;
    if (call.folds()) {
      RETURN_IF_ERROR(
          call.Summaries({call.StateSummary(call.states(), !call.gated()),
                          call.GradientSummary(d_o, call.d_states(), true)}));
      // With gates, <S, dS> is wanted at the range's end too.
      const StateSlots at_end = call.gated()
                                    ? SlotsFrom(call.states(), call.segments())
                                    : StateSlots();
      RETURN_IF_ERROR(
          call.Fold(call.states(), ends.initial, at_end, false, true));
      RETURN_IF_ERROR(call.Fold(call.d_states(), ends.d_final, {}, true, true));
      entering = call.states();
      d_entering = call.d_states();
    }
    roles.SetStates(entering, d_entering, ends.d_initial);
    RETURN_IF_ERROR(call.ScanGradients(roles, false));
    if (!call.gated()) return absl::OkStatus();
    return call.GateGradient(gradients.d_log_gate, nullptr, nullptr);
  }

  static absl::Status InterGradients(LinearAttentionCall& call,
                                     ConstTensorView d_o,
                                     const LinearAttentionGradients& gradients,
                                     const Ends& ends) {
    GradientRoles roles = call.RolesOfGradients(d_o, gradients);
    if (call.gated()) {
      RETURN_IF_ERROR(
          call.Summaries({call.StateSummary(call.states(), false)}));
      RETURN_IF_ERROR(call.Fold(call.states(), {},
                                SlotsFrom(call.states(), call.segments()),
                                false, true));
    }
    if (ends.d_initial.data != nullptr) {
      RETURN_IF_ERROR(
          call.Summaries({call.GradientSummary(d_o, call.d_states(), false)}));
      RETURN_IF_ERROR(call.Fold(call.d_states(), ends.d_final, ends.d_initial,
                                true, false));
    }
    if (call.gated()) {
      RETURN_IF_ERROR(
          call.Summaries({call.GradientSummary(d_o, call.d_states(), true)}));
      RETURN_IF_ERROR(call.Fold(call.d_states(), {}, {}, true, true));
    }
    roles.SetStates(ends.initial, ends.d_final, {});
    roles.SetDecays(call.entering_log2(), call.following_log2());
    RETURN_IF_ERROR(call.ScanGradients(roles, true));
    if (!call.gated()) return absl::OkStatus();
    return call.GateGradient(gradients.d_log_gate, &ends.initial,
                             &ends.d_final);
  }
};

}  // namespace

std::unique_ptr<LinearAttention> CreateCudaLinearAttention() {
  return std::make_unique<CudaLinearAttention>();
}

}  // namespace longspan::kernels::cuda
