// The table of linear-attention kernels with bf16 operands, of the instruction
// set that the including file is compiled for.
#pragma once

#include "kernels/cpu/linear_attention_bf16_backward.h"
#include "kernels/cpu/linear_attention_bf16_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

inline constexpr LinearAttentionKernels<BFloat16> kBf16AttentionKernels = {
    &SummariseBf16, &OutputsBf16, &SummariseBackwardBf16, &GradientsBf16,
    nullptr};

}  // namespace longspan::kernels::LONGSPAN_ISA
