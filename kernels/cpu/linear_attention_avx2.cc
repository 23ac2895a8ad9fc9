#include "kernels/cpu/linear_attention_variant.h"

namespace longspan::kernels {

template <>
const LinearAttentionKernels<float>& Avx2LinearAttention() {
  return LONGSPAN_ISA::kLinearAttentionKernels<float>;
}

template <>
const LinearAttentionKernels<double>& Avx2LinearAttention() {
  return LONGSPAN_ISA::kLinearAttentionKernels<double>;
}

}  // namespace longspan::kernels
