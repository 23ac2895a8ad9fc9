// Softmax attention with a query offset, grouped queries and a mask kind.
//
//     o_i = sum_j p_ij v_j      p_ij = exp(scale * q_i . k_j - lse_i)
//
// Query i stands at key position p = query_offset + i. kCausal lets it see keys
// j <= p, kWindow keys p - window < j <= p (the token itself counts), kNone all
// keys. With documents (starts in key positions), a query sees only keys of its
// own document. Query head h reads key head h / (H / Hkv).
//
// A query that sees no key has o = 0 and lse = -inf.
//
// Shapes: q, o [B, Tq, H, D]; k, v [B, Tk, Hkv, D]; lse [B, H, Tq] (f32, or f64
// with f64 operands). Strided in B, T, H. D <= 512, H % Hkv == 0.
// Scores never exist for more than a tile. Reductions run in a fixed order.
// Errors as in linear_attention.h.
// Source: FlashAttention-2 (arXiv 2307.08691).
#pragma once

#include "absl/status/status.h"
#include "kernels/api/documents.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

enum class AttentionMask { kCausal, kNone, kWindow };

struct SoftmaxAttentionInputs {
  AttentionMask mask = AttentionMask::kCausal;
  int64_t window = 0;        // kWindow only, >= 1
  int64_t query_offset = 0;  // key position of query 0
  double scale = 1.0;
  ConstTensorView q;
  ConstTensorView k;
  ConstTensorView v;
  Documents documents;
};

struct SoftmaxAttentionSaved {
  ConstTensorView o;
  ConstTensorView lse;
};

struct SoftmaxAttentionGradients {
  TensorView d_q;
  TensorView d_k;  // [B, Tk, Hkv, D], overwritten for all keys
  TensorView d_v;
};

class SoftmaxAttention {
 public:
  virtual ~SoftmaxAttention() = default;

  virtual absl::Status Forward(const SoftmaxAttentionInputs& inputs,
                               TensorView o, TensorView lse,
                               TensorView workspace, Stream& stream) = 0;

  virtual absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                                const SoftmaxAttentionSaved& saved,
                                ConstTensorView d_o,
                                const SoftmaxAttentionGradients& gradients,
                                TensorView workspace, Stream& stream) = 0;

  // Attention over two disjoint sets of keys from attention over each: (o,
  // lse) takes `part` in, as if one call had seen the keys of both.
  //
  //     o   <- o - sigmoid(lse_b - lse) (o - o_b)
  //     lse <- lse - logsigmoid(lse - lse_b)
  //
  // (Ring Attention, arXiv 2310.01889, in the form that cannot overflow.) A
  // side that saw no key, lse = -inf, leaves the other as it is. Not on cuda.
  virtual absl::Status Merge(const SoftmaxAttentionSaved& part, TensorView o,
                             TensorView lse, Stream& stream) = 0;
};

}  // namespace longspan::kernels
