#include "worker/generate/decoder.h"

#include "common/base/status_macros.h"
#include "worker/model/token_upload.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {
namespace {

using kernels::DType;
using kernels::TensorView;

}  // namespace

absl::StatusOr<SampledToken> Decoder::Step(int32_t token) {
  const ArenaScope scope(*context_.arena);
  ASSIGN_OR_RETURN(
      const SequenceShard shard,
      SequenceShard::Split({.tokens = 1, .first_position = state_.position()},
                           1, 0));
  ASSIGN_OR_RETURN(
      const kernels::ConstTensorView ids,
      UploadTokens(context_, model_.spec().vocabulary_size, TokenUse::kIds,
                   kernels::ConstTensorView(&token, DType::kI32, {1}), ids_));
  const ModelInput input = {.ids = ids, .shard = &shard};
  ASSIGN_OR_RETURN(const TensorView hidden,
                   model_.Forward(context_, input, &state_));
  const TensorView logits = context_.arena->Allocate(
      "logits", context_.accumulator(), {1, model_.spec().vocabulary_size});
  RETURN_IF_ERROR(model_.head().Logits(context_, hidden, logits));
  return sampler_.Sample(logits, state_.position());
}

}  // namespace longspan::worker
