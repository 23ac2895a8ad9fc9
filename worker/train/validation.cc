#include "worker/train/validation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/parallel/gradient_sync.h"

namespace longspan::worker {
namespace {

// Loss sum and count of this rank's tokens of one batch.
absl::Status ScoreBatch(Model& model, const RankContext& context,
                        const SequenceShard& shard, const BatchReader& batch,
                        double sums[2]) {
  const ArenaScope scope(*context.arena);
  ASSIGN_OR_RETURN(
      const kernels::TensorView hidden,
      model.Forward(context, {.ids = batch.ids(), .shard = &shard}, nullptr));
  double loss = 0.0;
  RETURN_IF_ERROR(model.head().Loss(
      context, {.hidden = hidden, .targets = batch.targets()},
      kernels::TensorView(&loss, kernels::DType::kF64, {1}), {}));
  RETURN_IF_ERROR(context.stream->Synchronize());
  const kernels::ConstTensorView targets = batch.targets();
  const auto* values = targets.data_as<int32_t>();
  sums[0] += loss;
  sums[1] += static_cast<double>(
      std::count_if(values, values + targets.element_count(),
                    [](int32_t target) { return target >= 0; }));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ValidationScore> Validate(Model& model,
                                         const RankContext& context,
                                         const TokenSource& text,
                                         const SequenceShard& shard,
                                         BatchReader& reader) {
  const int64_t length = shard.piece().tokens;
  if (text.size() < length) {
    return absl::InvalidArgumentError(absl::StrCat(
        "validation: the text has ", text.size(), " tokens; one sequence has ",
        length, ". Use a longer text or a shorter sequence_length"));
  }
  const int64_t windows =
      std::min(text.size() / length,
               std::max<int64_t>(1, kMaxValidationTokens / length));
  double sums[2] = {};
  for (int64_t window = 0; window < windows; window += shard.batch()) {
    RETURN_IF_ERROR(reader.ReadWindows(text, window * length));
    RETURN_IF_ERROR(ScoreBatch(model, context, shard, reader, sums));
  }
  RETURN_IF_ERROR(SumOverRanks(
      context, kernels::TensorView(sums, kernels::DType::kF64, {2})));
  return ValidationScore{.loss = sums[0] / std::max(sums[1], 1.0),
                         .tokens = static_cast<int64_t>(sums[1])};
}

}  // namespace longspan::worker
