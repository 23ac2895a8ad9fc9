// The table of linear-attention kernels of the instruction set that the
// including file is compiled for.
#pragma once

#include "kernels/cpu/linear_attention_backward.h"
#include "kernels/cpu/linear_attention_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
inline constexpr LinearAttentionKernels<T> kLinearAttentionKernels = {
    &Summarise<T>, &Outputs<T>, &SummariseBackward<T>, &Gradients<T>,
    &Decode<T>};

}  // namespace longspan::kernels::LONGSPAN_ISA
