// Gradients of one batch element and head by the reverse recurrence.
#pragma once

#include "kernels/reference/linear_attention_recurrence.h"

namespace longspan::kernels {

// With `initial_state` entering and dS_T = `d_final_state` at the end.
ReferenceGradients ComputeReferenceGradients(
    const ReferenceRecurrence& recurrence, const LinearAttentionSizes& sizes,
    const ReferenceState& initial_state, const ReferenceTokens& d_o,
    const ReferenceState& d_final_state);

}  // namespace longspan::kernels
