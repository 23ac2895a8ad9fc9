// LASP-2H: keys and values of softmax layers. Forward, every rank's keys and
// values go to all ranks with one AllGather; backward, their gradients come
// home with one ReduceScatter. The gathered rows are kept for backward, so
// nothing is gathered twice (decision: memory is in the plan, and a re-gather
// would cost as many bytes again).
//
// Rows interleave key and value per token, [tokens, 2, Hkv * D], so that one
// transfer carries both. Under the layout zigzag a rank's two parts travel in
// two transfers, in flight at the same time. With batch 1 the transfer goes
// straight into place; larger batches, and gradients in bf16, are staged and
// copied.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class KvExchange {
 public:
  // `width` = 2 * Hkv * D elements per token.
  KvExchange(const RankContext& context, int layer, const SequenceShard& shard,
             int64_t width);

  // Elements of the staging buffer that Gather needs: none for batch 1 or a
  // single rank.
  static int64_t StagingCount(const SequenceShard& shard, int64_t width);

  // `rows` [B, N, width] of the piece, strided in B; the rows of this rank's
  // tokens are already written.
  absl::Status Gather(kernels::TensorView rows, kernels::TensorView staging);

  // `d_rows` [B, N, width]: this rank's contribution to every row. `d_own`
  // [B, n, width] contiguous: the sum over ranks of this rank's rows. bf16
  // gradients travel and are summed in f32, and are rounded once. Staging
  // comes from the context's arena.
  absl::Status ScatterGradients(kernels::TensorView d_rows,
                                kernels::TensorView d_own);

 private:
  // The rows of a part of the piece, [B, n_p, width].
  kernels::TensorView Rows(kernels::TensorView rows, int part) const;
  // Where they lie for the transfer, flat: in place if there is no staging.
  kernels::TensorView Parcel(kernels::TensorView rows,
                             kernels::TensorView staging, int part) const;
  // Those of the first or the second part of every rank; empty where a rank has
  // no such part.
  std::vector<kernels::TensorView> ParcelsOf(int half, kernels::TensorView rows,
                                             kernels::TensorView staging) const;
  // Transfers of a pass.
  int halves() const { return shard_.filled_parts() > shard_.ranks() ? 2 : 1; }
  // Where the sum of the rows of one of this rank's parts goes, flat; `sum`
  // [B, n, width], or all parts one behind the other where `apart`.
  kernels::TensorView SumOf(int half, kernels::TensorView sum,
                            bool apart) const;
  absl::Status CopyRows(kernels::ConstTensorView from,
                        kernels::TensorView to) const;

  const RankContext& context_;
  const int layer_;
  const SequenceShard& shard_;
  const int64_t width_;
};

}  // namespace longspan::worker
