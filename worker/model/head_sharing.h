// Fewer heads of q and k than of v: head g of G serves heads g R to g R + R - 1
// of H = G R, as in grouped-value attention and Mamba-2's groups.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// to [B, n, H F]: every head of from [B, n, G F], R times.
absl::Status ShareHeads(const RankContext& context, int64_t groups,
                        kernels::ConstTensorView from, kernels::TensorView to);

// d_from = the sums over the R heads that each head went to.
absl::Status ShareHeadsBackward(const RankContext& context, int64_t groups,
                                kernels::TensorView d_to,
                                kernels::TensorView d_from);

}  // namespace longspan::worker
