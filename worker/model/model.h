// A language model of Linear-Llama3 blocks on one rank of a gang.
//
//     x_0 = embedding(ids)      x_{l+1} = block_l(x_l)      h = norm(x_L)
//
// and the head turns h into a loss or logits. Every rank holds all parameters
// and runs the same calls on its own token range; layers exchange what they
// must.
//
// Typical use, with every buffer from the context's arena:
//
//   training     ArenaScope step(arena);
//                Forward(kKeepTape) -> head().LossAndGradient -> Backward
//   evaluating   Forward(state) -> head().Loss, piece after piece
//   generating   Forward(state) by the gang over the prompt; then on any one
//                rank, with context.group = nullptr, Forward of one token at a
//                time -> head().Logits
//
// A text may be cut into pieces at will: with the state carried, the pieces
// give what the whole gives. A piece needs at least one token per rank.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/block.h"
#include "worker/model/embedding.h"
#include "worker/model/head.h"
#include "worker/model/model_state.h"
#include "worker/model/norm.h"
#include "worker/model/parameters.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

struct ModelInput {
  kernels::ConstTensorView ids;  // [M] i32, M = B * n, batch-major
  const SequenceShard* shard = nullptr;
};

// Everything backward needs, as views into the arena. Owned by the caller and
// reused from step to step.
struct ModelTape {
  kernels::TensorView positions;       // [n] i64
  std::vector<kernels::TensorView> x;  // [layers + 1] of [M, d]
  std::vector<BlockTape> blocks;
  kernels::TensorView hidden;  // [M, d] h
  kernels::TensorView rstd;    // [M]
};

class Model {
 public:
  // `parameters` must outlive the model and have the layout of `spec`.
  Model(const ModelSpec& spec, const Parameters* parameters);

  const ModelSpec& spec() const { return spec_; }
  const Head& head() const { return head_; }

  // Keeps what Backward needs on `tape` (all of it in the arena until the
  // caller releases it); the hidden states are tape.hidden [M, d].
  absl::Status ForwardKeepingTape(const RankContext& context,
                                  const ModelInput& input, ModelTape& tape);

  // Forward without backward: one layer's activations at a time. `state`
  // (may be null) enters and leaves; its position moves on by the piece. The
  // result [M, d] lies in the arena.
  absl::StatusOr<kernels::TensorView> Forward(const RankContext& context,
                                              const ModelInput& input,
                                              ModelState* state);

  // Adds the gradients of all parameters but the head's, given d [M, d], the
  // gradient of tape.hidden. On return d holds the gradient of the embedding
  // output, token by token.
  absl::Status Backward(const RankContext& context, const ModelInput& input,
                        ModelTape& tape, kernels::TensorView d);

 private:
  absl::Status CheckInput(const RankContext& context, const ModelInput& input,
                          const ModelState* state) const;

  const ModelSpec spec_;
  Embedding embedding_;
  std::vector<std::unique_ptr<Block>> blocks_;
  Norm norm_;
  Head head_;
};

}  // namespace longspan::worker
