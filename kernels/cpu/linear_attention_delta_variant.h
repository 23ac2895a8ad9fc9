// The table of linear-attention kernels of the delta rule, of the
// instruction set that the including file is compiled for.
#pragma once

#include "kernels/cpu/linear_attention_delta_backward.h"
#include "kernels/cpu/linear_attention_delta_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
inline constexpr LinearAttentionKernels<T> kDeltaAttentionKernels = {
    &DeltaSummarise<T>, &DeltaOutputs<T>, &DeltaSummariseBackward<T>,
    &DeltaGradients<T>, &DeltaDecode<T>};

}  // namespace longspan::kernels::LONGSPAN_ISA
