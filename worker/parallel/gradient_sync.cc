#include "worker/parallel/gradient_sync.h"

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

// `after`: null for values in host memory.
absl::Status Sum(const RankContext& context, kernels::TensorView values,
                 Traffic traffic, kernels::Stream* after) {
  if (context.gang_ranks() == 1) return absl::OkStatus();
  return context.gang()
      ->AllReduce(values, Reduction::kSum, {traffic, Direction::kNone, -1},
                  after)
      ->Wait();
}

}  // namespace

absl::Status SyncGradients(const RankContext& context,
                           kernels::TensorView gradients) {
  return Sum(context, gradients, Traffic::kGradientSync, context.stream);
}

absl::Status SumOverRanks(const RankContext& context,
                          kernels::TensorView values) {
  return Sum(context, values, Traffic::kControl, nullptr);
}

}  // namespace longspan::worker
