// One call of a linear-attention entry point: its plan, and the launches that
// it is made of, in the order that linear_attention.cc gives.
#pragma once

#include <initializer_list>

#include "absl/status/status.h"
#include "kernels/api/linear_attention.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cuda/linear_attention_params.h"

namespace longspan::kernels::cuda {

// [B, H, Dk, Dv], the same for every segment; absent stays absent.
StateSlots ViewOfState(const ConstTensorView& state);

// Refuses transitions that the kernels do not have, by name.
absl::Status CheckTransition(const char* op, Transition transition);

// Refuses fewer heads of q and k than of v.
absl::Status CheckKeyHeads(const char* op, const LinearAttentionSizes& sizes);

// Refuses prefix snapshots.
absl::Status CheckSnapshots(const char* op,
                            const LinearAttentionOutputs& outputs);

// Refuses what the kernels have no tile for.
absl::Status CheckHeadDims(const char* op, const LinearAttentionSizes& sizes);

FoldParams FoldOfRanks(const ConstTensorView& states,
                       const ConstTensorView& log_decays,
                       const ConstTensorView& initial_state, bool reverse,
                       const TensorView& state);
DecodeParams DecodeOf(const LinearAttentionInputs& inputs,
                      const LinearAttentionSizes& sizes,
                      const ConstTensorView& slots,
                      const TensorView& state_pool, const TensorView& o);

// d_q and d_k contract the values, d_v the keys.
struct GradientRoles {
  ScanRole d_q, d_k, d_v;

  // S before and dS after each segment; where to write dS at the start.
  void SetStates(const StateSlots& states, const StateSlots& d_states,
                 const StateSlots& d_initial);
  void SetDecays(const float* entering_log2, const float* following_log2);
};

class LinearAttentionCall {
 public:
  LinearAttentionCall(const LinearAttentionInputs& inputs,
                      const LinearAttentionSizes& sizes,
                      LinearAttentionStage stage, const TensorView& workspace,
                      Stream& stream);

  // Sizes, workspace and grid limits.
  absl::Status Check(const char* op) const;
  // Decides between aligned bf16 tiles and general ones.
  void UseOperands(std::initializer_list<ConstTensorView> operands);

  int64_t segments() const { return plan_.segments; }
  bool gated() const { return inputs_.transition == Transition::kScalar; }
  // Whether gradients need the states at the ends of segments.
  bool folds() const { return segments() > 1 || gated(); }
  // S before, or dS after, each segment [segments + 1][B][H][Dk][Dv].
  StateSlots states() const { return SlotsAt(plan_.states); }
  StateSlots d_states() const { return SlotsAt(plan_.d_states); }
  const float* entering_log2() const { return Floats(plan_.entering_log2); }
  const float* following_log2() const { return Floats(plan_.following_log2); }

  SummaryRole StateSummary(const StateSlots& states, bool skip_last) const;
  SummaryRole GradientSummary(const ConstTensorView& d_o,
                              const StateSlots& states, bool skip_last) const;
  ScanRole OutputRole(const TensorView& o) const;
  GradientRoles RolesOfGradients(const ConstTensorView& d_o,
                                 const LinearAttentionGradients& d) const;

  absl::Status Tables();
  // `total` (natural logarithm) may be null.
  absl::Status SegmentDecays(const TensorView& total);
  absl::Status Summaries(std::initializer_list<SummaryRole> roles);
  // Over the segments; see FoldParams.
  absl::Status Fold(const StateSlots& states, const StateSlots& initial,
                    const StateSlots& result, bool reverse, bool exclusive);
  absl::Status Scan(std::initializer_list<ScanRole> roles, bool inter);
  absl::Status ScanGradients(const GradientRoles& roles, bool inter);
  // Null ends: all terms; else the inter-chunk ones.
  absl::Status GateGradient(const TensorView& d_log_gate,
                            const StateSlots* initial,
                            const StateSlots* d_final);

 private:
  float* Floats(int64_t offset) const;
  StateSlots SlotsAt(int64_t offset) const;
  // With the head sizes, where the device lacks what they need.
  absl::Status Launched(const absl::Status& status) const;

  const LinearAttentionInputs& inputs_;
  const LinearAttentionSizes sizes_;
  const LinearAttentionShape shape_;
  const LinearAttentionStage stage_;
  const CudaLinearAttentionPlan plan_;
  const TensorView workspace_;
  void* const stream_;
  LinearGrid grid_;
  bool general_ = false;
};

}  // namespace longspan::kernels::cuda
