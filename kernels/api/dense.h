// Matrix products and the ops at the model's two ends: embedding and loss.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

struct MatMulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;  // c += a b instead of c = a b
};

class Dense {
 public:
  virtual ~Dense() = default;

  // c [M, N] = op(a) op(b); all rank 2, rows may be strided. One type; c
  // may also be f32 where a and b are bf16.
  virtual absl::Status MatMul(ConstTensorView a, ConstTensorView b,
                              TensorView c, const MatMulOptions& options,
                              Stream& stream) = 0;

  // out[m, :] = table[ids[m], :]. ids [M] i32, table [V, N]; bf16 rows may come
  // from an f32 table. An id outside [0, V) is kInvalidArgument and names the
  // id and V, where the ids lie in host memory; elsewhere it is row 0.
  virtual absl::Status Embed(ConstTensorView ids, ConstTensorView table,
                             TensorView out, Stream& stream) = 0;

  // d_table[ids[m], :] += d_out[m, :], in order of m. d_table is f32 beside
  // bf16 rows.
  virtual absl::Status EmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                                     TensorView d_table, Stream& stream) = 0;
};

// Cross-entropy of a linear head, computed in slabs of rows so that the logits
// of the whole sequence never exist:
//
//     logits_m = hidden_m weight^T
//     nll_m    = logsumexp(logits_m) - logits_m[targets[m]]
//     loss     = sum_m token_weights[m] * nll_m
//
// hidden [M, N]; weight [V, N]; targets [M] i32, where a negative target is
// not scored (nll 0); token_weights [M] f32 (null: 1). Weights and sums are
// f64 for f64 operands; d_weight is f32 for bf16 ones. The workspace size
// decides the slab: kernels/cost/cross_entropy_cost.h.
struct CrossEntropyInputs {
  ConstTensorView hidden;
  ConstTensorView weight;
  ConstTensorView targets;
  ConstTensorView token_weights;
};

struct CrossEntropyOutputs {
  TensorView loss;  // [1] f64, overwritten
  TensorView nll;   // [M] f32 (f64 for f64 operands), may be null
};

// Gradients of grad_scale * loss. grad_scale [1] f32 is an operand, not a host
// number, so that a captured step can be replayed.
struct CrossEntropyGradients {
  ConstTensorView grad_scale;
  TensorView d_hidden;  // overwritten
  TensorView d_weight;  // accumulated
};

class CrossEntropy {
 public:
  virtual ~CrossEntropy() = default;

  virtual absl::Status Forward(const CrossEntropyInputs& inputs,
                               const CrossEntropyOutputs& outputs,
                               TensorView workspace, Stream& stream) = 0;

  // Loss and gradients in the same pass over the slabs.
  virtual absl::Status ForwardBackward(const CrossEntropyInputs& inputs,
                                       const CrossEntropyOutputs& outputs,
                                       const CrossEntropyGradients& gradients,
                                       TensorView workspace,
                                       Stream& stream) = 0;
};

}  // namespace longspan::kernels
