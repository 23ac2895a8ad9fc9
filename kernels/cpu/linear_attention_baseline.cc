#include "kernels/cpu/linear_attention_variant.h"

namespace longspan::kernels {

template <>
const LinearAttentionKernels<float>& BaselineLinearAttention() {
  return LONGSPAN_ISA::kLinearAttentionKernels<float>;
}

template <>
const LinearAttentionKernels<double>& BaselineLinearAttention() {
  return LONGSPAN_ISA::kLinearAttentionKernels<double>;
}

}  // namespace longspan::kernels
