#include "kernels/cpu/linear_attention_vector_variant.h"

namespace longspan::kernels {

template <>
const LinearAttentionKernels<float>& Avx2VectorAttention() {
  return LONGSPAN_ISA::kVectorAttentionKernels<float>;
}

template <>
const LinearAttentionKernels<double>& Avx2VectorAttention() {
  return LONGSPAN_ISA::kVectorAttentionKernels<double>;
}

}  // namespace longspan::kernels
