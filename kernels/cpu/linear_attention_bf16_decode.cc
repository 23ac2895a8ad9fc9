#include "kernels/cpu/linear_attention_bf16_decode.h"

namespace longspan::kernels {
namespace {

void Widen(const OperandRows<BFloat16>& from, int64_t token, int64_t size,
           float* to) {
  const BFloat16* row = from.data + token * from.stride;
  for (int64_t i = 0; i < size; ++i) to[i] = ToFloat(row[i]);
}

void Round(const float* from, int64_t size, int64_t token,
           const ResultRows<BFloat16>& to) {
  BFloat16* row = to.data + token * to.stride;
  for (int64_t i = 0; i < size; ++i) row[i] = ToBFloat16(from[i]);
}

OperandRows<float> RowOf(const OperandRows<float>& rows, int64_t token) {
  if (rows.data == nullptr) return {};
  return {rows.data + token * rows.stride, rows.stride};
}

}  // namespace

void DecodeBf16(const LinearAttentionKernels<float>& kernels,
                const LinearAttentionSequence<BFloat16>& sequence) {
  float q[kMaxKeyDim], k[kMaxKeyDim], v[kMaxKeyDim], o[kMaxKeyDim];
  LinearAttentionSequence<float> token;
  token.tokens = 1;
  token.key_dim = sequence.key_dim;
  token.value_dim = sequence.value_dim;
  token.scale = sequence.scale;
  token.decay = sequence.decay;
  token.log_decay = sequence.log_decay;
  token.q.data = q;
  token.k.data = k;
  token.v.data = v;
  token.o.data = o;
  token.final_state = sequence.final_state;
  for (int64_t t = 0; t < sequence.tokens; ++t) {
    Widen(sequence.q, t, sequence.key_dim, q);
    Widen(sequence.k, t, sequence.key_dim, k);
    Widen(sequence.v, t, sequence.value_dim, v);
    token.log_gate = RowOf(sequence.log_gate, t);
    token.beta = RowOf(sequence.beta, t);
    kernels.decode(token);
    Round(o, sequence.value_dim, t, sequence.o);
  }
}

}  // namespace longspan::kernels
