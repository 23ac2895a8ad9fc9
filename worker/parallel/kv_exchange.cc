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

absl::Status KvExchange::WaitForWorks() {
  for (const auto& work : works_) RETURN_IF_ERROR(work->Wait());
  works_.clear();
  return absl::OkStatus();
}

// ---- Keys and values -------------------------------------------------------

absl::Status KvExchange::BeginGather(TensorView rows, TensorView staging) {
  rows_ = rows;
  staging_ = staging;
  for (const ShardPart& part : shard_.parts()) {
    if (staging.is_null()) break;
    const TensorView mine = Rows(rows, part.index);
    RETURN_IF_ERROR(
        CopyRows(mine, Parcel(rows, staging, part.index)
                           .Reshape({mine.size(0), mine.size(1), width_})));
  }
  for (int half = 0; half < halves(); ++half) {
    const std::vector<TensorView> parcels = ParcelsOf(half, rows, staging);
    works_.push_back(context_.group->AllGather(
        parcels[context_.rank()], parcels,
        {Traffic::kKvExchange, Direction::kForward, layer_}, context_.stream));
  }
  return absl::OkStatus();
}

absl::Status KvExchange::FinishGather() {
  RETURN_IF_ERROR(WaitForWorks());
  for (int part = 0; !staging_.is_null() && part < shard_.filled_parts();
       ++part) {
    if (OwnerOf(part, context_.ranks()) == context_.rank()) continue;
    const TensorView to = Rows(rows_, part);
    RETURN_IF_ERROR(CopyRows(
        Parcel(rows_, staging_, part).Reshape({to.size(0), to.size(1), width_}),
        to));
  }
  return absl::OkStatus();
}

// ---- Their gradients -------------------------------------------------------

bool KvExchange::StagesGradients(const RankContext& context,
                                 const SequenceShard& shard) {
  return context.dtype != context.accumulator() || shard.batch() > 1;
}

bool KvExchange::SumsApart(const RankContext& context,
                           const SequenceShard& shard, bool sliced) {
  return context.dtype != context.accumulator() || sliced || PartsApart(shard);
}

TensorView KvExchange::SumOf(int half) const {
  if (half >= shard_.part_count()) {
    return TensorView(sum_.data(), sum_.dtype(), {0});
  }
  const ShardPart& part = shard_.parts()[half];
  const int64_t count = part.range.size() * width_;
  if (!PartsApart(shard_)) {
    return part.Of(sum_).Reshape({shard_.batch() * count});
  }
  const int64_t first = shard_.batch() * part.first_row * width_;
  return sum_.Reshape({sum_.element_count()})
      .Slice(0, first, first + shard_.batch() * count);
}

absl::Status KvExchange::BeginScatter(TensorView d_rows, TensorView staging,
                                      TensorView sum) {
  sum_ = sum;
  for (int part = 0; !staging.is_null() && part < shard_.filled_parts();
       ++part) {
    const TensorView from = Rows(d_rows, part);
    RETURN_IF_ERROR(
        CopyRows(from, Parcel(d_rows, staging, part)
                           .Reshape({from.size(0), from.size(1), width_})));
  }
  for (int half = 0; half < halves(); ++half) {
    const std::vector<TensorView> parcels = ParcelsOf(half, d_rows, staging);
    const std::vector<ConstTensorView> send(parcels.begin(), parcels.end());
    works_.push_back(context_.group->ReduceScatter(
        send, SumOf(half), {Traffic::kKvExchange, Direction::kBackward, layer_},
        context_.stream));
  }
  return absl::OkStatus();
}

absl::Status KvExchange::FinishScatter(TensorView d_own) {
  RETURN_IF_ERROR(WaitForWorks());
  if (sum_.data() == d_own.data()) return absl::OkStatus();
  for (int half = 0; half < shard_.part_count(); ++half) {
    const TensorView to = shard_.parts()[half].Of(d_own);
    RETURN_IF_ERROR(CopyRows(
        SumOf(half).Reshape({to.size(0), to.size(1), 2, width_ / 2}), to));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
