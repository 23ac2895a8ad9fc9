// Token ids, targets and positions on their way to the ops. Ops on a device
// cannot refuse an id, so it is checked here, before it gets there.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/tensor/upload_buffer.h"

namespace longspan::worker {

enum class TokenUse { kIds, kTargets };  // targets may be negative: not scored

// `host` [M] i32; see UploadBuffer::Put. kInvalidArgument names the first token
// that is outside [0, vocabulary).
absl::StatusOr<kernels::ConstTensorView> UploadTokens(
    const RankContext& context, int64_t vocabulary, TokenUse use,
    kernels::ConstTensorView host, UploadBuffer& buffer);

// Of the shard's tokens in their sequence, to `positions` [n] i64.
absl::Status UploadPositions(const RankContext& context,
                             const SequenceShard& shard,
                             kernels::TensorView positions);

}  // namespace longspan::worker
