#include "kernels/cpu/linear_attention_delta_variant.h"

namespace longspan::kernels {

template <>
const LinearAttentionKernels<float>& Avx512DeltaAttention() {
  return LONGSPAN_ISA::kDeltaAttentionKernels<float>;
}

template <>
const LinearAttentionKernels<double>& Avx512DeltaAttention() {
  return LONGSPAN_ISA::kDeltaAttentionKernels<double>;
}

}  // namespace longspan::kernels
