// The table of softmax-attention kernels of the instruction set that the
// including file is compiled for.
#pragma once

#include "kernels/cpu/softmax_attention_backward.h"
#include "kernels/cpu/softmax_attention_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
inline constexpr SoftmaxAttentionKernels<T> kSoftmaxAttentionKernels = {
    &SoftmaxForwardHead<T>, &SoftmaxBackwardHead<T>};

}  // namespace longspan::kernels::LONGSPAN_ISA
