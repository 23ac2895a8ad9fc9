// Decoding with bf16 operands: token by token in f32, whatever the transition.
#pragma once

#include "kernels/cpu/linear_attention_kernels.h"

namespace longspan::kernels {

// Updates sequence.final_state in place and writes sequence.o.
void DecodeBf16(const LinearAttentionKernels<float>& kernels,
                const LinearAttentionSequence<BFloat16>& sequence);

}  // namespace longspan::kernels
