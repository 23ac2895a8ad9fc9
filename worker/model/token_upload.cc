#include "worker/model/token_upload.h"

#include <vector>

#include "absl/strings/str_cat.h"

namespace longspan::worker {

using kernels::ConstTensorView;

absl::StatusOr<ConstTensorView> UploadTokens(const RankContext& context,
                                             int64_t vocabulary, TokenUse use,
                                             ConstTensorView host,
                                             UploadBuffer& buffer) {
  const int32_t* token = host.data_as<int32_t>();
  for (int64_t i = 0; i < host.element_count(); ++i) {
    const bool skipped = token[i] < 0 && use == TokenUse::kTargets;
    if (skipped || (token[i] >= 0 && token[i] < vocabulary)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        use == TokenUse::kIds ? "token id " : "target ", token[i], " at ", i,
        " is outside the vocabulary [0, ", vocabulary, ")"));
  }
  return buffer.Put(context.backend->memory(), context.transfer(), host);
}

absl::Status UploadPositions(const RankContext& context,
                             const SequenceShard& shard,
                             kernels::TensorView positions) {
  std::vector<int64_t> host(shard.tokens());
  shard.FillPositions(
      kernels::TensorView(host.data(), kernels::DType::kI64, {shard.tokens()}));
  return context.transfer().Upload(host.data(), positions);
}

}  // namespace longspan::worker
