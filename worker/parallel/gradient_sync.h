// The sum of gradients over all ranks of the job: one AllReduce over the flat
// buffer. The loss rides in its tail, so a step has no second round trip. Ranks
// add in rank order: the same bits everywhere.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// `gradients` flat, contiguous; summed in place.
absl::Status SyncGradients(const RankContext& context,
                           kernels::TensorView gradients);

// Sums of evaluation: `values` [n] f64 in host memory, in place.
absl::Status SumOverRanks(const RankContext& context,
                          kernels::TensorView values);

}  // namespace longspan::worker
