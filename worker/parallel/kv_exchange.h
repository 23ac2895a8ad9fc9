// LASP-2H: keys and values of softmax layers, or those of a slice of their
// heads. Forward, every rank's keys and values go to all ranks with one
// AllGather; backward, their gradients come home with one ReduceScatter. The
// gathered rows are kept for backward, so nothing is gathered twice (decision:
// memory is in the plan, and a re-gather would cost as many bytes again).
//
// A transfer begins and is finished later, with attention to other heads in
// between. Rows interleave key and value per token, [tokens, 2, G * D], so that
// one transfer carries both. Under the layout zigzag a rank's two parts travel
// in two transfers, in flight at the same time. With batch 1 the transfer goes
// straight into place; larger batches, and gradients in bf16, are staged and
// copied.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"

namespace longspan::worker {

class KvExchange {
 public:
  // `width` = 2 * G * D elements per token.
  KvExchange(const RankContext& context, int layer, const SequenceShard& shard,
             int64_t width);

  // Elements of the staging buffer that a gather needs: none for batch 1 or a
  // single rank.
  static int64_t StagingCount(const SequenceShard& shard, int64_t width);

  // `rows` [B, N, width] of the piece, strided in B; the rows of this rank's
  // tokens are already written, the others are after FinishGather(). `staging`:
  // the transfer's until then.
  absl::Status BeginGather(kernels::TensorView rows,
                           kernels::TensorView staging);
  absl::Status FinishGather();

  // What a scatter needs besides `d_rows`, in the accumulator's type: staging
  // for the piece's rows, of bf16 gradients (which travel and are summed in
  // f32, and are rounded once) and of batches; and a place for the sums where
  // they do not come straight into d_own, because that has another type, is one
  // of several slices, or has a batch element's two parts side by side.
  static bool StagesGradients(const RankContext& context,
                              const SequenceShard& shard);
  static bool SumsApart(const RankContext& context, const SequenceShard& shard,
                        bool sliced);

  // `d_rows` [B, N, width]: this rank's contribution to every row, the
  // transfer's until the end unless it is staged. `sum` [B, n, width]: d_own
  // itself, or the place for the sums.
  absl::Status BeginScatter(kernels::TensorView d_rows,
                            kernels::TensorView staging,
                            kernels::TensorView sum);
  // `d_own` [B, n, 2, G D]: the sum over ranks of this rank's rows, copied from
  // `sum` unless that is where it is.
  absl::Status FinishScatter(kernels::TensorView d_own);

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
  // Parts of several batch elements do not lie one behind the other in a rank's
  // rows.
  static bool PartsApart(const SequenceShard& shard) {
    return shard.batch() > 1 && shard.part_count() > 1;
  }
  // Where the sum of the rows of one of this rank's parts goes, flat; all parts
  // lie one behind the other in `sum_` where they are apart.
  kernels::TensorView SumOf(int half) const;
  absl::Status WaitForWorks();
  absl::Status CopyRows(kernels::ConstTensorView from,
                        kernels::TensorView to) const;

  const RankContext& context_;
  const int layer_;
  const SequenceShard& shard_;
  const int64_t width_;

  // Of the transfer in flight.
  kernels::TensorView rows_;
  kernels::TensorView staging_;
  kernels::TensorView sum_;
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace longspan::worker
