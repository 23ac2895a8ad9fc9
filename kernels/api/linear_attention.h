// Linear attention: an affine recurrence on a memory state, in chunked form.
//
// For every batch element and head, with row vectors and S_0 given,
//
//     S_t = a_t S_{t-1} + k_t^T v_t          o_t = scale * q_t S_t
//
// where the transition a_t is 1 (kIdentity), exp(log_decay[h]) (kConstant),
// exp(log_gate[t, h]) (kScalar) or diag(exp(log_gate[t, h, :])) (kVector: one
// decay per row of the state). kDense is the delta rule: with d_t any of the
// decays 1, kScalar's or kVector's (as log_gate is absent, or of their shape),
//
//     S_t = (I - beta_t k_t^T k_t) d_t S_{t-1} + beta_t k_t^T v_t
//
// which is DeltaNet, Gated DeltaNet and KDA. It is stable for
// beta_t |k_t|^2 <= 2. Exponents are only ever taken of differences that are
// <= 0.
//
// Four entry points, so that ranks can exchange states between them (LASP-2;
// the equations are in docs/math.md):
//
//   Summarise           (k, v)         -> (A, S_ext): what this range does to
//                                         an incoming state: S -> e^A S + S_ext
//                                         (e^A scales rows with kVector, and
//                                         is a matrix with kDense)
//   Outputs             (q, k, v, S_0) -> o, S_T
//   SummariseBackward   (q, do)        -> dS_ext: gradient that this range
//                                         adds to its incoming state
//   Gradients           (..., dS_T)    -> dq, dk, dv, dlog_gate, dbeta, dS_0
//
// FoldSummaries composes the gathered summaries of several ranges.
//
// Shapes: q, k [B, T, Hk, Dk]; v, o [B, T, H, Dv]; log_decay [H]; states
// [B, H, Dk, Dv]; log_gate and its gradient [B, T, H], summary decay A [B, H],
// with kVector [B, T, H, Dk] and [B, H, Dk]; beta [B, T, H]; transition of a
// summary [B, H, Dk, Dk]. Operands may be strided in B, T and H. T >= 1;
// 1 <= Dk, Dv <= 512.
//
// Grouped values (GVA; Hk = 1 is Mamba-2's n_groups = 1): H is a multiple of
// Hk, and head h reads q and k of head h / (H / Hk). Everything else has H
// heads. d_q and d_k have the shape of q and k: sums over the heads that share
// them, in the order of the heads, whatever the number of threads.
//
// Prefix snapshots: with snapshot_interval = n > 0, Outputs also writes the
// states inside the range, prefix_states [B, P, H, Dk, Dv] with P = (T-1) / n:
// entry p is S after the first (p + 1) n tokens of the range, which is the
// final state of a call with those tokens and the same initial state, bit by
// bit; a call with the other tokens that starts from it continues the range. It
// belongs to the document of the last of those tokens, also where the next
// token starts another. n is a multiple of kSnapshotTokens. Where a prefix
// cache, a span or a session resumes, this is the state to keep.
//
// Precision: the operands' type is f32, f64 (CPU, reference) or bf16 (CUDA,
// reference, and on the CPU with kIdentity, kConstant and kScalar, and in
// Decode); states, gates, their gradients and decays are f32, or f64 when the
// operands are. With bf16, sums and states are f32, and what enters a product
// is rounded: scores, weighted rows, the state as an operand. Log gates must be
// <= 0.
//
// Errors: kInvalidArgument for shapes that do not fit together, a workspace
// that is too small or documents with batch > 1; kUnimplemented for a
// transition, type, grouped values or prefix snapshots that the backend does
// not have. Nothing is allocated, outputs are written completely, inputs and
// outputs must not overlap.
//
// Source: LASP-2 (arXiv 2502.07563) with the corrections of docs/math.md;
// Lightning Attention-2 (arXiv 2401.04658) for the constant decay; GLA (arXiv
// 2312.06635) for the vector gate; DeltaNet (arXiv 2406.06484), Gated DeltaNet
// (arXiv 2412.06464) and Kimi Linear (arXiv 2510.26692) for the delta rule.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/documents.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

enum class Transition { kIdentity, kConstant, kScalar, kVector, kDense };

// Whether tokens always carry gates; with kDense they may.
constexpr bool HasGates(Transition transition) {
  return transition == Transition::kScalar || transition == Transition::kVector;
}

struct LinearAttentionInputs {
  Transition transition = Transition::kIdentity;
  double scale = 1.0;
  ConstTensorView q;          // unused by Summarise
  ConstTensorView k;          // used by SummariseBackward with kDense only
  ConstTensorView v;          // unused by SummariseBackward
  ConstTensorView log_gate;   // kScalar, kVector; kDense: may be null
  ConstTensorView log_decay;  // kConstant only
  ConstTensorView beta;       // kDense only
  Documents documents;
};

// Which terms of the outputs (or gradients) a call computes. kIntraChunk needs
// no state, so it runs while the exchange is in flight, and overwrites the
// outputs; kInterChunk then adds what flows through states. Both together, in
// this order, equal kAll up to rounding. With kDense all terms depend on the
// entering state, so a backend may leave them to kInterChunk: kIntraChunk then
// writes zeros, and kInterChunk overwrites them.
enum class ChunkTerms { kAll, kIntraChunk, kInterChunk };

struct LinearAttentionSummary {
  TensorView state;  // S_ext [B, H, Dk, Dv]
  // A [B, H], or [B, H, Dk] with kVector; -inf when a document starts in the
  // range. Null with kDense.
  TensorView log_decay;
  // The matrix M of S -> M S + S_ext; zero when a document starts in the range.
  // FoldSummaries takes it in place of log_decay. Null but with kDense.
  TensorView transition;
};

// Prefix snapshots lie at multiples of it: tokens of a chunk on every backend.
inline constexpr int64_t kSnapshotTokens = 64;

struct LinearAttentionOutputs {
  TensorView o;
  TensorView final_state;         // may be null
  TensorView prefix_states;       // null without snapshots, or with P = 0
  int64_t snapshot_interval = 0;  // tokens; 0: no snapshots
};

struct LinearAttentionOutputGradients {
  ConstTensorView d_o;
  ConstTensorView d_final_state;  // null means zero
};

struct LinearAttentionGradients {
  TensorView d_q;
  TensorView d_k;
  TensorView d_v;
  TensorView d_log_gate;       // like log_gate; includes the boundary term
                               // rowsum(S_T * dS_T) of the rank border
  TensorView d_initial_state;  // may be null
  TensorView d_beta;           // kDense only
};

class LinearAttention {
 public:
  virtual ~LinearAttention() = default;

  virtual absl::Status Summarise(const LinearAttentionInputs& inputs,
                                 const LinearAttentionSummary& summary,
                                 TensorView workspace, Stream& stream) = 0;

  // `initial_state` may be null (zero). final_state and prefix_states are
  // written by kAll and kInterChunk.
  virtual absl::Status Outputs(const LinearAttentionInputs& inputs,
                               ConstTensorView initial_state, ChunkTerms terms,
                               const LinearAttentionOutputs& outputs,
                               TensorView workspace, Stream& stream) = 0;

  // Writes dS_ext = d(loss)/dS_0 through this range's own outputs, without the
  // gradient of the final state.
  virtual absl::Status SummariseBackward(const LinearAttentionInputs& inputs,
                                         ConstTensorView d_o,
                                         TensorView d_state,
                                         TensorView workspace,
                                         Stream& stream) = 0;

  virtual absl::Status Gradients(
      const LinearAttentionInputs& inputs, ConstTensorView initial_state,
      const LinearAttentionOutputGradients& output_gradients, ChunkTerms terms,
      const LinearAttentionGradients& gradients, TensorView workspace,
      Stream& stream) = 0;

  // state = fold over i = 0..W-1 of  S <- e^{A_i} S + S_i,  starting from
  // `initial_state` (null: zero). states [W, B, H, Dk, Dv]; decays are the
  // log_decay of the summaries, [W, B, H] or [W, B, H, Dk], or their transition
  // matrices, [W, B, H, Dk, Dk]: S <- M_i S + S_i. `reverse` folds i = W-1..0
  // (the gradient direction, with M_i transposed). W may be 0: the result is
  // then the initial state. `state` may be the very view of `initial_state`.
  virtual absl::Status FoldSummaries(ConstTensorView states,
                                     ConstTensorView decays,
                                     ConstTensorView initial_state,
                                     bool reverse, TensorView state,
                                     Stream& stream) = 0;

  // Decodes T new tokens (usually 1) of B independent slots: row b of q, k, v
  // and log_gate belongs to state slots[b] of state_pool [S, H, Dk, Dv], which
  // is updated in place; o is written. slots [B] i32, all different.
  virtual absl::Status Decode(const LinearAttentionInputs& inputs,
                              ConstTensorView slots, TensorView state_pool,
                              TensorView o, Stream& stream) = 0;
};

}  // namespace longspan::kernels
