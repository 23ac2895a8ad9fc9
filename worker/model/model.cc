#include "worker/model/model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"
#include "worker/model/token_upload.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

absl::StatusOr<TensorView> PositionsOf(const RankContext& context,
                                       const ModelInput& input) {
  if (!input.positions.is_null()) return input.positions;
  const int64_t tokens = input.shard->tokens();
  const TensorView positions =
      context.arena->Allocate("positions", kernels::DType::kI64, {tokens});
  RETURN_IF_ERROR(UploadPositions(context, *input.shard, positions));
  return positions;
}

const char* HeadName(const ModelSpec& spec) {
  return spec.tie_embeddings ? "model.embeddings.weight" : "lm_head.weight";
}

}  // namespace

Model::Model(const ModelSpec& spec, const Parameters& parameters)
    : spec_(spec),
      embedding_(parameters.Compute("model.embeddings.weight"),
                 parameters.Gradient("model.embeddings.weight")),
      norm_(parameters.Value("model.norm.weight"),
            parameters.Gradient("model.norm.weight"), spec.norm_epsilon),
      head_(parameters.Compute(HeadName(spec)),
            parameters.Gradient(HeadName(spec))) {
  LONGSPAN_CHECK(Validate(spec).empty()) << "the spec is not valid";
  for (int layer = 0; layer < spec.layer_count; ++layer) {
    blocks_.push_back(std::make_unique<Block>(spec, layer, parameters));
  }
}

absl::Status Model::CheckInput(const RankContext& context,
                               const ModelInput& input,
                               const ModelState* state) const {
  const SequenceShard& shard = *input.shard;
  if (shard.ranks() != context.ranks() || shard.rank() != context.rank()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tokens are for rank ", shard.rank(), " of ", shard.ranks(),
        ", the group is rank ", context.rank(), " of ", context.ranks()));
  }
  if (input.ids.element_count() != shard.rows()) {
    return absl::InvalidArgumentError(
        absl::StrCat(input.ids.element_count(), " token ids for ", shard.rows(),
                     " tokens of this rank"));
  }
  if (!context.transfer().direct() && !shard.piece().document_starts.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("packed documents on the backend ",
                     context.backend->name(), "; this model runs them on cpu"));
  }
  if (state == nullptr) return absl::OkStatus();
  if (state->position() != shard.piece().first_position ||
      state->capacity().batch != shard.batch()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the state is at token ", state->position(), " of ",
                     state->capacity().batch, " texts, the piece at token ",
                     shard.piece().first_position, " of ", shard.batch()));
  }
  return absl::OkStatus();
}

absl::Status Model::AllocateTape(const RankContext& context,
                                 const ModelInput& input,
                                 ModelTape& tape) const {
  const int64_t rows = input.shard->rows();
  const auto stream = [&](const char* name) {
    return context.arena->Allocate(name, context.dtype,
                                   {rows, spec_.hidden_size});
  };
  ASSIGN_OR_RETURN(tape.positions, PositionsOf(context, input));
  tape.x.clear();
  for (int64_t i = 0; i <= spec_.layer_count; ++i) {
    tape.x.push_back(stream("x"));
  }
  tape.hidden = stream("hidden");
  tape.rstd = context.arena->Allocate("rstd", context.accumulator(), {rows});
  tape.d_hidden = stream("d_hidden");
  return absl::OkStatus();
}

absl::Status Model::ForwardKeepingTape(const RankContext& context,
                                       const ModelInput& input,
                                       ModelTape& tape) {
  RETURN_IF_ERROR(CheckInput(context, input, nullptr));
  RETURN_IF_ERROR(AllocateTape(context, input, tape));
  const LayerPass pass = {input.shard, tape.positions};
  RETURN_IF_ERROR(embedding_.Forward(context, input.ids, tape.x[0]));
  tape.blocks.clear();
  for (size_t l = 0; l < blocks_.size(); ++l) {
    tape.blocks.push_back(blocks_[l]->AllocateTape(context, pass));
    RETURN_IF_ERROR(blocks_[l]->Forward(context, pass, tape.x[l], nullptr,
                                        tape.blocks[l], tape.x[l + 1]));
  }
  return norm_.Forward(context, tape.x.back(), ConstTensorView(), tape.hidden,
                       tape.rstd);
}

absl::StatusOr<TensorView> Model::Backward(const RankContext& context,
                                           const ModelInput& input,
                                           ModelTape& tape) {
  const LayerPass pass = {input.shard, tape.positions};
  // The head is done with the hidden states; their place takes the gradient
  // that flows back along the residual stream.
  const TensorView d = tape.hidden;
  {
    const ArenaScope scratch(*context.arena);
    const TensorView workspace = context.arena->AllocateWorkspace(
        "norm_workspace", kernels::RmsNormBackwardWorkspaceBytes(
                              d.size(0), d.size(1), context.element_bytes(),
                              context.backend_kind, context.threads));
    RETURN_IF_ERROR(norm_.Backward(context, tape.x.back(), ConstTensorView(),
                                   tape.rstd, tape.d_hidden, {.d_x = d},
                                   workspace));
  }
  for (size_t l = blocks_.size(); l-- > 0;) {
    RETURN_IF_ERROR(
        blocks_[l]->Backward(context, pass, tape.x[l], tape.blocks[l], d));
  }
  RETURN_IF_ERROR(embedding_.Backward(context, input.ids, d));
  return d;
}

absl::StatusOr<TensorView> Model::Forward(const RankContext& context,
                                          const ModelInput& input,
                                          ModelState* state) {
  RETURN_IF_ERROR(CheckInput(context, input, state));
  Arena& arena = *context.arena;
  const int64_t rows = input.shard->rows();
  ASSIGN_OR_RETURN(const TensorView positions, PositionsOf(context, input));
  const LayerPass pass = {input.shard, positions, state != nullptr};
  TensorView x = arena.Allocate("x", context.dtype, {rows, spec_.hidden_size});
  TensorView next =
      arena.Allocate("x", context.dtype, {rows, spec_.hidden_size});
  const TensorView rstd = arena.Allocate("rstd", context.accumulator(), {rows});
  RETURN_IF_ERROR(embedding_.Forward(context, input.ids, x));
  for (size_t l = 0; l < blocks_.size(); ++l) {
    const ArenaScope layer(arena);
    BlockTape tape = blocks_[l]->AllocateTape(context, pass);
    RETURN_IF_ERROR(blocks_[l]->Forward(
        context, pass, x, state == nullptr ? nullptr : &state->layer(l), tape,
        next));
    std::swap(x, next);
  }
  RETURN_IF_ERROR(norm_.Forward(context, x, ConstTensorView(), next, rstd));
  if (state != nullptr) {
    state->set_position(state->position() + input.shard->piece().tokens);
  }
  return next;
}

}  // namespace longspan::worker
