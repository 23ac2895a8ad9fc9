#include "worker/parallel/kv_exchange.h"

#include <vector>

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

KvExchange::KvExchange(const RankContext& context, int layer,
                       const SequenceShard& shard, int64_t width)
    : context_(context), layer_(layer), shard_(shard), width_(width) {}

int64_t KvExchange::StagingCount(const SequenceShard& shard, int64_t width) {
  if (shard.batch() == 1 || shard.ranks() == 1) return 0;
  return shard.batch() * shard.piece().tokens * width;
}

TensorView KvExchange::Rows(TensorView rows, int rank) const {
  const TokenRange range = shard_.ranges()[rank];
  return rows.Slice(1, range.begin, range.end);
}

TensorView KvExchange::Parcel(TensorView rows, TensorView staging,
                              int rank) const {
  const TokenRange range = shard_.ranges()[rank];
  const int64_t batch = shard_.batch();
  if (staging.is_null()) {
    return Rows(rows, rank).Reshape({range.size() * width_});
  }
  return staging.Slice(0, batch * range.begin * width_,
                       batch * range.end * width_);
}

absl::Status KvExchange::CopyRows(ConstTensorView from, TensorView to) const {
  return context_.backend->elementwise().Copy(from, to, *context_.stream);
}

absl::Status KvExchange::Gather(TensorView rows, TensorView staging) {
  const int own = context_.rank();
  const bool staged = shard_.batch() > 1;
  std::vector<TensorView> parcels;
  for (int r = 0; r < context_.ranks(); ++r) {
    parcels.push_back(Parcel(rows, staging, r));
  }
  if (staged) {
    const TensorView mine = Rows(rows, own);
    RETURN_IF_ERROR(CopyRows(
        mine, parcels[own].Reshape({mine.size(0), mine.size(1), width_})));
  }
  RETURN_IF_ERROR(
      context_.group
          ->AllGather(parcels[own], parcels,
                      {Traffic::kKvExchange, Direction::kForward, layer_},
                      context_.stream)
          ->Wait());
  for (int r = 0; staged && r < context_.ranks(); ++r) {
    if (r == own) continue;
    const TensorView to = Rows(rows, r);
    RETURN_IF_ERROR(
        CopyRows(parcels[r].Reshape({to.size(0), to.size(1), width_}), to));
  }
  return absl::OkStatus();
}

absl::Status KvExchange::ScatterGradients(TensorView d_rows, TensorView d_own) {
  const bool narrow = context_.dtype != context_.accumulator();
  const int64_t rows = shard_.batch() * shard_.piece().tokens;
  TensorView staging;
  TensorView sum = d_own;
  if (narrow || shard_.batch() > 1) {
    staging = context_.arena->Allocate("kv_staging", context_.accumulator(),
                                       {rows * width_});
  }
  if (narrow) {
    sum = context_.arena->Allocate("d_own_sum", context_.accumulator(),
                                   {d_own.size(0), d_own.size(1), width_});
  }
  std::vector<ConstTensorView> parcels;
  for (int r = 0; r < context_.ranks(); ++r) {
    const TensorView parcel = Parcel(d_rows, staging, r);
    if (!staging.is_null()) {
      const TensorView from = Rows(d_rows, r);
      RETURN_IF_ERROR(
          CopyRows(from, parcel.Reshape({from.size(0), from.size(1), width_})));
    }
    parcels.push_back(parcel);
  }
  RETURN_IF_ERROR(
      context_.group
          ->ReduceScatter(parcels, sum.Reshape({sum.element_count()}),
                          {Traffic::kKvExchange, Direction::kBackward, layer_},
                          context_.stream)
          ->Wait());
  return narrow ? CopyRows(sum, d_own) : absl::OkStatus();
}

}  // namespace longspan::worker
