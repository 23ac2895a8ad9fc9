// A mixer: the part of a block that moves information between tokens.
//
// Forward maps (input, entering state) to (output, leaving state); Backward
// maps the output's gradient back to the input's. Activations that backward
// needs lie on a tape that the caller owns; parameter gradients accumulate.
// All ranks of the gang call the same mixer in the same order.
//
// Rows: M = B * n local rows, batch-major. `input` is the normalised block
// input; the output is added to the residual stream.
#pragma once

#include <memory>
#include <variant>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/model_state.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

// What a linear attention layer keeps. Null where the layer has no such part.
struct LinearAttentionTape {
  kernels::TensorView packed;     // [B, n, stride] see projection_widths.h
  kernels::TensorView halo;       // [B, K-1, C]
  kernels::TensorView convolved;  // [B, n, C] q k v after the convolution
  kernels::TensorView features;   // [B, n, 2 H Dk] q k after the feature map
  kernels::TensorView log_gate;   // [B, n, H]
  kernels::TensorView entering;   // [B, H, Dk, Dv] S_in of this rank
  kernels::TensorView decays;     // [ranks, B, H]
  kernels::TensorView o;          // [B, n, H, Dv]
  kernels::TensorView o_rstd;     // [M, H]
  kernels::TensorView normed;     // [M, H Dv]
};

// What a softmax attention layer keeps.
struct SoftmaxAttentionTape {
  kernels::TensorView q;          // [B, n, H, D] rotated
  kernels::TensorView key_value;  // [B, N, 2 Hkv D] of the whole piece
  kernels::TensorView o;          // [B, n, H, D]
  kernels::TensorView lse;        // [B, H, n]
};

using MixerTape = std::variant<LinearAttentionTape, SoftmaxAttentionTape>;

// What a pass over one piece shares between layers.
struct LayerPass {
  const SequenceShard* shard = nullptr;
  kernels::ConstTensorView positions;  // [n] i64, in the text
  bool carries_state = false;
};

class Mixer {
 public:
  virtual ~Mixer() = default;

  // Takes the tape's buffers from the context's arena. A tape for a pass that
  // carries a state keeps no more than that pass needs.
  virtual MixerTape AllocateTape(const RankContext& context,
                                 const LayerPass& pass) const = 0;

  // residual [M, d] += mixer(input [M, d]). `state` holds the entering state
  // and receives the leaving one; null: the text begins with this piece and
  // nothing is left.
  virtual absl::Status Forward(const RankContext& context,
                               const LayerPass& pass,
                               kernels::ConstTensorView input,
                               LayerState* state, MixerTape& tape,
                               kernels::TensorView residual) = 0;

  // d_input [M, d] = gradient through this mixer alone of d_output [M, d].
  // For passes that entered without a state.
  virtual absl::Status Backward(const RankContext& context,
                                const LayerPass& pass,
                                kernels::ConstTensorView input,
                                kernels::ConstTensorView d_output,
                                MixerTape& tape,
                                kernels::TensorView d_input) = 0;
};

}  // namespace longspan::worker
