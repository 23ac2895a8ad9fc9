#include "kernels/cpu/softmax_attention_variant.h"

namespace longspan::kernels {

template <>
const SoftmaxAttentionKernels<float>& Avx512SoftmaxAttention() {
  return LONGSPAN_ISA::kSoftmaxAttentionKernels<float>;
}

template <>
const SoftmaxAttentionKernels<double>& Avx512SoftmaxAttention() {
  return LONGSPAN_ISA::kSoftmaxAttentionKernels<double>;
}

}  // namespace longspan::kernels
