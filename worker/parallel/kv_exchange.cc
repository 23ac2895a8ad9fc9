#include "worker/parallel/kv_exchange.h"

#include <memory>
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

TensorView KvExchange::Rows(TensorView rows, int part) const {
  const TokenRange range = shard_.ranges()[part];
  return rows.Slice(1, range.begin, range.end);
}

TensorView KvExchange::Parcel(TensorView rows, TensorView staging,
                              int part) const {
  const TokenRange range = shard_.ranges()[part];
  const int64_t batch = shard_.batch();
  if (staging.is_null()) {
    return Rows(rows, part).Reshape({range.size() * width_});
  }
  return staging.Slice(0, batch * range.begin * width_,
                       batch * range.end * width_);
}

std::vector<TensorView> KvExchange::ParcelsOf(int half, TensorView rows,
                                              TensorView staging) const {
  std::vector<TensorView> parcels;
  for (int r = 0; r < context_.ranks(); ++r) {
    parcels.push_back(Parcel(rows, staging, PartAt(half, r, context_.ranks())));
  }
  return parcels;
}

absl::Status KvExchange::CopyRows(ConstTensorView from, TensorView to) const {
  return context_.backend->elementwise().Copy(from, to, *context_.stream);
}

absl::Status KvExchange::Gather(TensorView rows, TensorView staging) {
  const int own = context_.rank();
  const bool staged = shard_.batch() > 1;
  for (const ShardPart& part : shard_.parts()) {
    if (!staged) break;
    const TensorView mine = Rows(rows, part.index);
    RETURN_IF_ERROR(
        CopyRows(mine, Parcel(rows, staging, part.index)
                           .Reshape({mine.size(0), mine.size(1), width_})));
  }
  std::vector<std::unique_ptr<Work>> works;
  for (int half = 0; half < halves(); ++half) {
    const std::vector<TensorView> parcels = ParcelsOf(half, rows, staging);
    works.push_back(context_.group->AllGather(
        parcels[own], parcels,
        {Traffic::kKvExchange, Direction::kForward, layer_}, context_.stream));
  }
  for (const auto& work : works) RETURN_IF_ERROR(work->Wait());
  for (int part = 0; staged && part < shard_.filled_parts(); ++part) {
    if (OwnerOf(part, context_.ranks()) == own) continue;
    const TensorView to = Rows(rows, part);
    RETURN_IF_ERROR(CopyRows(
        Parcel(rows, staging, part).Reshape({to.size(0), to.size(1), width_}),
        to));
  }
  return absl::OkStatus();
}

TensorView KvExchange::SumOf(int half, TensorView sum, bool apart) const {
  if (half >= shard_.part_count()) {
    return TensorView(sum.data(), sum.dtype(), {0});
  }
  const ShardPart& part = shard_.parts()[half];
  const int64_t count = part.range.size() * width_;
  if (!apart) return part.Of(sum).Reshape({shard_.batch() * count});
  const int64_t first = shard_.batch() * part.first_row * width_;
  return sum.Reshape({sum.element_count()})
      .Slice(0, first, first + shard_.batch() * count);
}

absl::Status KvExchange::ScatterGradients(TensorView d_rows, TensorView d_own) {
  const bool narrow = context_.dtype != context_.accumulator();
  // Parts of several batch elements do not lie one behind the other in d_own.
  const bool apart = shard_.batch() > 1 && shard_.part_count() > 1;
  const int64_t rows = shard_.batch() * shard_.piece().tokens;
  TensorView staging;
  TensorView sum = d_own;
  if (narrow || shard_.batch() > 1) {
    staging = context_.arena->Allocate("kv_staging", context_.accumulator(),
                                       {rows * width_});
  }
  if (narrow || apart) {
    sum = context_.arena->Allocate("d_own_sum", context_.accumulator(),
                                   {d_own.size(0), d_own.size(1), width_});
  }
  for (int part = 0; !staging.is_null() && part < shard_.filled_parts();
       ++part) {
    const TensorView from = Rows(d_rows, part);
    RETURN_IF_ERROR(
        CopyRows(from, Parcel(d_rows, staging, part)
                           .Reshape({from.size(0), from.size(1), width_})));
  }
  std::vector<std::unique_ptr<Work>> works;
  for (int half = 0; half < halves(); ++half) {
    const std::vector<TensorView> parcels = ParcelsOf(half, d_rows, staging);
    const std::vector<ConstTensorView> send(parcels.begin(), parcels.end());
    works.push_back(context_.group->ReduceScatter(
        send, SumOf(half, sum, apart),
        {Traffic::kKvExchange, Direction::kBackward, layer_}, context_.stream));
  }
  for (const auto& work : works) RETURN_IF_ERROR(work->Wait());
  if (!apart) return narrow ? CopyRows(sum, d_own) : absl::OkStatus();
  for (int half = 0; half < shard_.part_count(); ++half) {
    const TensorView to = shard_.parts()[half].Of(d_own);
    RETURN_IF_ERROR(CopyRows(
        SumOf(half, sum, apart).Reshape({to.size(0), to.size(1), width_}), to));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
