// A mixer: the part of a block that moves information between tokens.
//
//     forward    Project (row by row) -> Mix -> Output (row by row)
//     backward   OutputBackward -> MixBackward -> ProjectBackward
//
// Only Mix sees all tokens of the rank, exchanges with other ranks and knows
// the state: it maps (projected input, entering state) to (mixed values,
// leaving state). The other steps are called for one block of rows after the
// other (row_range.h). Activations that backward needs lie on a tape that the
// caller owns; parameter gradients accumulate. All ranks of the gang call the
// same mixer in the same order.
//
// M = B * n local rows, batch-major. The input is the normalised block input;
// the output is added to the residual stream.
#pragma once

#include <variant>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/model_state.h"
#include "worker/model/row_range.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/parallel/softmax_exchange.h"

namespace longspan::worker {

// What a linear attention layer keeps. Null where the layer has no such part.
struct LinearAttentionTape {
  kernels::TensorView packed;       // [B, n, stride] see projection_widths.h
  kernels::TensorView halo;         // [parts, B, K-1, C]
  kernels::TensorView convolved;    // [B, n, C] q k (v) after the convolution
  kernels::TensorView features;     // [B, n, 2 G F] q k after the feature map
  kernels::TensorView values;       // [B, n, H (Dv + 1)] v and ones, or
                                    // [B, n, H Dv] v times its step
  kernels::TensorView gate_logits;  // [B, n, H F] a gate per channel's
  kernels::TensorView log_gate;     // [B, n, H] or [B, n, H, F]
  kernels::TensorView beta;         // [B, n, H]
  kernels::TensorView entering;     // [parts, B, H, F, Dv (+ 1)] S_in of each
                                    // part of this rank
  kernels::TensorView decays;       // [all parts or 1, B, H (, F (, F))]
  kernels::TensorView outer;        // [B, n, H, Dv (+ 1)] o's part of other
                                    // ranges (recurrence_by_left_ring.h)
  // Of all N tokens of the piece, for the heads that this rank takes.
  kernels::TensorView head_q;         // [B, N, G_r, F]
  kernels::TensorView head_k;         // [B, N, G_r, F]
  kernels::TensorView head_v;         // [B, N, H_r, Dv (+ 1)]
  kernels::TensorView head_log_gate;  // [B, N, H_r (, F)]
  kernels::TensorView head_beta;      // [B, N, H_r]
  kernels::TensorView sums;           // [B, n, H, Dv + 1] before the division
  kernels::TensorView o;              // [B, n, H, Dv]
  kernels::TensorView o_rstd;         // [M, H], or [groups, M]
  kernels::TensorView normed;         // [M, H Dv]
  kernels::TensorView gated;        // [M, H Dv] gated before or after the norm
  kernels::TensorView gate_values;  // [M, H Dv] a gate behind a low rank
  kernels::TensorView summed;       // [M, d] the output, where heads are cut
};

// What a softmax attention layer keeps.
struct SoftmaxAttentionTape {
  kernels::TensorView q;          // [B, n, H, D] rotated
  kernels::TensorView key_value;  // [B, N, 2 Hkv D] of the whole piece, or
                                  // the rows of the state that it became; with
                                  // a ring [B, n, 2 Hkv D]
  int64_t cached_rows = 0;        // rows of the state before the piece
  kernels::TensorView o;          // [B, n, H, D]
  kernels::TensorView lse;        // [B, H, n]; null where heads travel
  SoftmaxHeads heads;             // all tokens of some heads
  kernels::TensorView summed;     // [M, d] the output, where heads are cut
};

using MixerTape = std::variant<LinearAttentionTape, SoftmaxAttentionTape>;

// Gradients that pass from step to step of one layer's backward.
struct LinearAttentionLayerGradients {
  kernels::TensorView d_o;          // as in the tape
  kernels::TensorView d_packed;     // likewise
  kernels::TensorView d_convolved;  // likewise
  kernels::TensorView d_features;   // likewise
  kernels::TensorView d_values;     // likewise
  kernels::TensorView d_sums;       // likewise
  kernels::TensorView d_log_gate;   // likewise
  kernels::TensorView d_beta;       // likewise
  kernels::TensorView summed;       // [M, d] d_input, where heads are cut
};

struct SoftmaxAttentionLayerGradients {
  kernels::TensorView d_o;     // [B, n, H, D]
  kernels::TensorView d_q;     // [B, n, H, D]
  kernels::TensorView d_own;   // [B, n, 2 Hkv D] summed over ranks
  kernels::TensorView summed;  // [M, d] d_input, where heads are cut
};

using MixerGradients =
    std::variant<LinearAttentionLayerGradients, SoftmaxAttentionLayerGradients>;

// What a pass over one piece shares between layers.
struct LayerPass {
  const SequenceShard* shard = nullptr;
  kernels::ConstTensorView positions;  // [n] i64, in the text
  bool carries_state = false;
};

class Mixer {
 public:
  virtual ~Mixer() = default;

  // Buffers from the context's arena.
  virtual MixerTape AllocateTape(const RankContext& context,
                                 const LayerPass& pass) const = 0;
  virtual MixerGradients AllocateGradients(const RankContext& context,
                                           const LayerPass& pass) const = 0;

  // Before the first Project of a pass: finds the place of the piece in the
  // state. `state` is null when the text begins with this piece and nothing is
  // left, else it enters here and is the leaving one after Mix.
  virtual absl::Status Prepare(const RankContext& context,
                               const LayerPass& pass, LayerState* state,
                               MixerTape& tape) = 0;

  // input [rows, d]: these rows of the block's normalised input.
  virtual absl::Status Project(const RankContext& context,
                               const LayerPass& pass, RowRange rows,
                               kernels::ConstTensorView input,
                               MixerTape& tape) = 0;

  // `input` [M, d]: all rows that Project had.
  virtual absl::Status Mix(const RankContext& context, const LayerPass& pass,
                           kernels::ConstTensorView input, LayerState* state,
                           MixerTape& tape) = 0;

  // residual [rows, d] += output.
  virtual absl::Status Output(const RankContext& context, RowRange rows,
                              MixerTape& tape,
                              kernels::TensorView residual) = 0;

  // d_output [rows, d]. For passes without a state, like all that follow.
  virtual absl::Status OutputBackward(const RankContext& context, RowRange rows,
                                      kernels::ConstTensorView d_output,
                                      MixerTape& tape,
                                      MixerGradients& gradients) = 0;

  // `input` and `d_output` [M, d]: all rows of both.
  virtual absl::Status MixBackward(const RankContext& context,
                                   const LayerPass& pass,
                                   kernels::ConstTensorView input,
                                   kernels::ConstTensorView d_output,
                                   MixerTape& tape,
                                   MixerGradients& gradients) = 0;

  // d_input [rows, d], overwritten.
  virtual absl::Status ProjectBackward(const RankContext& context,
                                       RowRange rows,
                                       kernels::ConstTensorView input,
                                       MixerTape& tape,
                                       MixerGradients& gradients,
                                       kernels::TensorView d_input) = 0;
};

}  // namespace longspan::worker
