#include "worker/generate/decoder.h"

#include "common/base/status_macros.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {
namespace {

using kernels::DType;
using kernels::TensorView;

template <typename T>
void CopyTo(TensorView from, std::vector<double>& to) {
  const T* values = from.data_as<T>();
  to.assign(values, values + from.element_count());
}

}  // namespace

Decoder::Decoder(Model& model, const RankContext& context, ModelState& state)
    : model_(model), context_(context), state_(state) {
  logits_.reserve(model.spec().vocabulary_size);
}

absl::StatusOr<absl::Span<const double>> Decoder::Step(int32_t token) {
  const ArenaScope scope(*context_.arena);
  ASSIGN_OR_RETURN(
      const SequenceShard shard,
      SequenceShard::Split({.tokens = 1, .first_position = state_.position()},
                           1, 0));
  const ModelInput input = {
      .ids = kernels::ConstTensorView(&token, DType::kI32, {1}),
      .shard = &shard};
  ASSIGN_OR_RETURN(const TensorView hidden,
                   model_.Forward(context_, input, &state_));
  const TensorView logits = context_.arena->Allocate(
      "logits", context_.dtype, {1, model_.spec().vocabulary_size});
  RETURN_IF_ERROR(model_.head().Logits(context_, hidden, logits));
  RETURN_IF_ERROR(context_.stream->Synchronize());
  if (context_.dtype == DType::kF64) {
    CopyTo<double>(logits, logits_);
  } else {
    CopyTo<float>(logits, logits_);
  }
  return absl::MakeConstSpan(logits_);
}

}  // namespace longspan::worker
