#include "worker/parallel/gradient_sync.h"

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

absl::Status Sum(const RankContext& context, kernels::TensorView values,
                 Traffic traffic) {
  if (context.ranks() == 1) return absl::OkStatus();
  RETURN_IF_ERROR(context.stream->Synchronize());
  return context.group
      ->AllReduce(values, Reduction::kSum, {traffic, Direction::kNone, -1})
      ->Wait();
}

}  // namespace

absl::Status SyncGradients(const RankContext& context,
                           kernels::TensorView gradients) {
  return Sum(context, gradients, Traffic::kGradientSync);
}

absl::Status SumOverRanks(const RankContext& context,
                          kernels::TensorView values) {
  return Sum(context, values, Traffic::kControl);
}

}  // namespace longspan::worker
