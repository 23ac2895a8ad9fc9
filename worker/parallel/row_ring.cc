#include "worker/parallel/row_ring.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

// Of the shape of `like`, with so many tokens.
TensorView Dense(char* data, const ConstTensorView& like, int64_t tokens) {
  if (like.rank() == 3) {
    return TensorView(data, like.dtype(), {like.size(0), tokens, like.size(2)});
  }
  return TensorView(data, like.dtype(),
                    {like.size(0), tokens, like.size(2), like.size(3)});
}

}  // namespace

RowRing::RowRing(const RankContext& context, int layer, Direction pass,
                 Direction way, const SequenceShard& shard,
                 std::vector<ConstTensorView> own, TensorView parcels)
    : context_(context),
      tag_({Traffic::kRowExchange, pass, layer}),
      shard_(shard),
      own_(std::move(own)),
      parcels_(parcels),
      upwards_(way == Direction::kForward),
      place_(upwards_ ? context.rank() : context.ranks() - 1 - context.rank()) {
}

std::vector<TensorView> RowRing::RowsIn(int step) const {
  const int64_t tokens = shard_.ranges()[RankAt(step)].size();
  const int64_t half = parcels_.byte_count() / 2;
  char* data = static_cast<char*>(parcels_.data()) + (step % 2) * half;
  const char* const end = data + half;
  std::vector<TensorView> rows;
  for (const ConstTensorView& like : own_) {
    rows.push_back(Dense(data, like, tokens));
    data += rows.back().byte_count();
  }
  LONGSPAN_CHECK(data <= end) << "rows of " << tokens << " tokens in a parcel "
                              << "of " << half << " bytes";
  return rows;
}

TensorView RowRing::Parcel(int step) const {
  const std::vector<TensorView> rows = RowsIn(step);
  int64_t bytes = 0;
  for (const TensorView& part : rows) bytes += part.byte_count();
  return TensorView(rows.front().data(), DType::kU8, {bytes});
}

void RowRing::Launch(int step) {
  const bool receives = step < steps();
  if (!sends() && !receives) return;
  work_ = context_.group->SendReceive(
      sends() ? Parcel(step) : TensorView(), RankAt(-1),
      receives ? Parcel(step + 1) : TensorView(), RankAt(1), tag_,
      context_.stream);
}

absl::Status RowRing::Start() {
  if (sends()) {
    const std::vector<TensorView> rows = RowsIn(0);
    for (size_t i = 0; i < rows.size(); ++i) {
      RETURN_IF_ERROR(context_.backend->elementwise().Copy(own_[i], rows[i],
                                                           *context_.stream));
    }
  }
  Launch(0);
  return absl::OkStatus();
}

absl::Status RowRing::Take(int step, std::vector<TensorView>& rows) {
  RETURN_IF_ERROR(work_->Wait());
  work_.reset();
  Launch(step);
  rows = RowsIn(step);
  return absl::OkStatus();
}

absl::Status RowRing::Finish() {
  return work_ == nullptr ? absl::OkStatus() : work_->Wait();
}

}  // namespace longspan::worker
