// The table of linear-attention kernels with a decay per channel, of the
// instruction set that the including file is compiled for.
#pragma once

#include "kernels/cpu/linear_attention_vector_backward.h"
#include "kernels/cpu/linear_attention_vector_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
inline constexpr LinearAttentionKernels<T> kVectorAttentionKernels = {
    &VectorSummarise<T>, &VectorOutputs<T>, &VectorSummariseBackward<T>,
    &VectorGradients<T>, &VectorDecode<T>};

}  // namespace longspan::kernels::LONGSPAN_ISA
