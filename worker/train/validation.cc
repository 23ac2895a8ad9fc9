#include "worker/train/validation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/model/token_upload.h"
#include "worker/parallel/gradient_sync.h"
#include "worker/tensor/upload_buffer.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;

// Loss sum and count of this rank's tokens of one batch.
class BatchScorer {
 public:
  BatchScorer(Model& model, const RankContext& context,
              const SequenceShard& shard)
      : model_(model), context_(context), shard_(shard) {}

  absl::Status Score(const BatchReader& batch, double sums[2]) {
    const int64_t vocabulary = model_.spec().vocabulary_size;
    if (loss_.empty()) {
      ASSIGN_OR_RETURN(loss_, Tensor::Create(context_.backend->memory(),
                                             kernels::DType::kF64, 1));
    }
    ASSIGN_OR_RETURN(
        const ConstTensorView ids,
        UploadTokens(context_, vocabulary, TokenUse::kIds, batch.ids(), ids_));
    ASSIGN_OR_RETURN(const ConstTensorView targets,
                     UploadTokens(context_, vocabulary, TokenUse::kTargets,
                                  batch.targets(), targets_));
    const ArenaScope scope(*context_.arena);
    ASSIGN_OR_RETURN(
        const kernels::TensorView hidden,
        model_.Forward(context_, {.ids = ids, .shard = &shard_}, nullptr));
    RETURN_IF_ERROR(model_.head().Loss(
        context_, {.hidden = hidden, .targets = targets}, loss_.view(), {}));
    double loss = 0.0;
    RETURN_IF_ERROR(context_.transfer().Download(loss_.view(), &loss));
    const auto* values = batch.targets().data_as<int32_t>();
    sums[0] += loss;
    sums[1] += static_cast<double>(
        std::count_if(values, values + batch.targets().element_count(),
                      [](int32_t target) { return target >= 0; }));
    return absl::OkStatus();
  }

 private:
  Model& model_;
  const RankContext& context_;
  const SequenceShard& shard_;
  Tensor loss_;  // [1]
  UploadBuffer ids_;
  UploadBuffer targets_;
};

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
  BatchScorer scorer(model, context, shard);
  for (int64_t window = 0; window < windows; window += reader.sequences()) {
    RETURN_IF_ERROR(reader.ReadWindows(text, window * length));
    RETURN_IF_ERROR(scorer.Score(reader, sums));
  }
  RETURN_IF_ERROR(SumOverRanks(
      context, kernels::TensorView(sums, kernels::DType::kF64, {2})));
  return ValidationScore{.loss = sums[0] / std::max(sums[1], 1.0),
                         .tokens = static_cast<int64_t>(sums[1])};
}

}  // namespace longspan::worker
