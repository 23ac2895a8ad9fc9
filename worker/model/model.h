// A language model of Linear-Llama3 blocks on one rank of a gang.
//
//     x_0 = embedding(ids)      x_{l+1} = block_l(x_l)      h = norm(x_L)
//
// and the head turns h into a loss or logits. Every rank holds all parameters
// and makes the same calls on its own token range; layers exchange what they
// must. All activations lie in the context's arena, planned by
// common/model_spec/memory_plan.h.
//
//   training     ArenaScope step(arena);
//                ForwardKeepingTape -> head().LossAndGradient -> Backward
//   evaluating   Forward(state) -> head().Loss, piece after piece
//   generating   Forward(state) by the gang over the prompt; then on any one
//                rank, with context.group = nullptr, Forward of one token at a
//                time -> head().Logits. The leaving state is on every rank.
//
// A text may be cut into pieces at will: with the state carried, the pieces
// give what the whole gives. A piece needs at least one token per rank; a
// shorter prompt is prefilled by each rank alone (group = nullptr).
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
  // [n] i64, filled by UploadPositions. Null: the model makes them in the
  // arena, which a step that is recorded as a graph must not do.
  kernels::TensorView positions = {};
};

// Everything backward needs, as views into the arena. Owned by the caller and
// reused from step to step.
struct ModelTape {
  kernels::TensorView positions;       // [n] i64
  std::vector<kernels::TensorView> x;  // layers + 1 times [M, d]
  std::vector<BlockTape> blocks;
  kernels::TensorView hidden;    // [M, d] h
  kernels::TensorView rstd;      // [M]
  kernels::TensorView d_hidden;  // [M, d] for the head to write
};

class Model {
 public:
  // `spec` resolved and valid; `parameters` of its layout, must outlive the
  // model.
  Model(const ModelSpec& spec, const Parameters& parameters);

  const ModelSpec& spec() const { return spec_; }
  const Head& head() const { return head_; }

  // Keeps what Backward needs on `tape`: all of it in the arena until the
  // caller releases it. The hidden states are tape.hidden.
  absl::Status ForwardKeepingTape(const RankContext& context,
                                  const ModelInput& input, ModelTape& tape);

  // Adds the gradients of all parameters but the head's, given tape.d_hidden.
  // Returns the gradient of the embedding's output, [M, d], token by token (it
  // takes the place of tape.hidden).
  absl::StatusOr<kernels::TensorView> Backward(const RankContext& context,
                                               const ModelInput& input,
                                               ModelTape& tape);

  // Forward alone, one layer's activations at a time. `state` (null: none)
  // enters and leaves; its position must be the piece's first and moves on by
  // the piece. Returns the hidden states [M, d] in the arena.
  absl::StatusOr<kernels::TensorView> Forward(const RankContext& context,
                                              const ModelInput& input,
                                              ModelState* state);

 private:
  absl::Status CheckInput(const RankContext& context, const ModelInput& input,
                          const ModelState* state) const;
  absl::Status AllocateTape(const RankContext& context, const ModelInput& input,
                            ModelTape& tape) const;

  const ModelSpec spec_;
  Embedding embedding_;
  std::vector<std::unique_ptr<Block>> blocks_;
  Norm norm_;
  Head head_;
};

}  // namespace longspan::worker
