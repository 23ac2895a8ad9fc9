#include "kernels/cpu/linear_attention_bf16_variant.h"

namespace longspan::kernels {

const LinearAttentionKernels<BFloat16>& AmxBf16Attention() {
  return LONGSPAN_ISA::kBf16AttentionKernels;
}

}  // namespace longspan::kernels
