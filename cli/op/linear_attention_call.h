// What the entry points of linear attention share.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/op/op_call.h"
#include "cli/op/op_description.h"
#include "kernels/api/linear_attention.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {

// Of --transition, or else of the tensors that are there.
kernels::Transition TransitionOf(const OpCall& call);

// The tensors that the transition needs are there, and no others.
absl::Status CheckTransitionTensors(const OpCall& call);

kernels::LinearAttentionInputs LinearAttentionInputsOf(const OpCall& call);

absl::StatusOr<kernels::TensorView> LinearAttentionWorkspace(
    OpCall& call, kernels::LinearAttentionStage stage);

// q, k, v; and gates, decays and strengths of writing.
std::vector<OpTensor> TokenTensors();
OpTensor DocumentStarts();
std::vector<OpFlag> LinearAttentionFlags();
// One for each transition.
std::vector<OpVariant> TransitionVariants();

}  // namespace longspan::cli
