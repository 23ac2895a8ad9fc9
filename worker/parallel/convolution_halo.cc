#include "worker/parallel/convolution_halo.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

ConvolutionHalo::ConvolutionHalo(const RankContext& context, int layer,
                                 const SequenceShard& shard,
                                 int64_t kernel_size, int64_t channels,
                                 TensorView staging)
    : context_(context),
      layer_(layer),
      shard_(shard),
      border_(kernel_size - 1) {
  if (context.ranks() == 1) return;
  int64_t used = 0;
  for (const HaloMove& move : PlanHalos(shard.ranges(), kernel_size)) {
    if (move.from != context.rank() && move.to != context.rank()) continue;
    const int64_t rows = move.tokens.size();
    const int64_t count = shard.batch() * rows * channels;
    parcels_.push_back({move, staging.Slice(0, used, used + count)
                                  .Reshape({shard.batch(), rows, channels})});
    used += count;
  }
}

template <typename View>
View ConvolutionHalo::OwnedRows(const Parcel& parcel, View x) const {
  const int64_t begin = shard_.range().begin;
  return x.Slice(1, parcel.move.tokens.begin - begin,
                 parcel.move.tokens.end - begin);
}

TensorView ConvolutionHalo::HaloRows(const Parcel& parcel,
                                     TensorView halo) const {
  const int64_t begin = shard_.range().begin - border_;
  return halo.Slice(1, parcel.move.tokens.begin - begin,
                    parcel.move.tokens.end - begin);
}

absl::Status ConvolutionHalo::Copy(ConstTensorView from, TensorView to) const {
  return context_.backend->elementwise().Copy(from, to, *context_.stream);
}

absl::Status ConvolutionHalo::Launch(Direction direction) {
  for (const Parcel& parcel : parcels_) {
    const bool sends = owns(parcel) == (direction == Direction::kForward);
    const int peer = owns(parcel) ? parcel.move.to : parcel.move.from;
    works_.push_back(context_.group->SendReceive(
        sends ? parcel.staged : TensorView(), peer,
        sends ? TensorView() : parcel.staged, peer,
        {Traffic::kConvolutionHalo, direction, layer_}, context_.stream));
  }
  return absl::OkStatus();
}

absl::Status ConvolutionHalo::WaitAll() {
  for (const std::unique_ptr<Work>& work : works_) {
    RETURN_IF_ERROR(work->Wait());
  }
  works_.clear();
  return absl::OkStatus();
}

absl::Status ConvolutionHalo::ClearOtherDocuments(int64_t end, int64_t token,
                                                  TensorView halo) const {
  const int64_t foreign =
      std::min(shard_.DocumentBegin(token) - (end - border_), border_);
  if (shard_.DocumentBegin(token) < 0 || foreign <= 0) return absl::OkStatus();
  return context_.backend->elementwise().SetZero(halo.Slice(1, 0, foreign),
                                                 *context_.stream);
}

absl::Status ConvolutionHalo::StartForward(ConstTensorView x) {
  for (const Parcel& parcel : parcels_) {
    if (!owns(parcel)) continue;
    RETURN_IF_ERROR(Copy(OwnedRows(parcel, x), parcel.staged));
  }
  return Launch(Direction::kForward);
}

absl::Status ConvolutionHalo::FinishForward(ConstTensorView entering,
                                            TensorView halo) {
  RETURN_IF_ERROR(WaitAll());
  // Rows before the piece: the end of the entering tail.
  const int64_t begin = shard_.range().begin;
  const int64_t before = std::max<int64_t>(0, border_ - begin);
  if (before > 0 && entering.is_null()) {
    RETURN_IF_ERROR(context_.backend->elementwise().SetZero(
        halo.Slice(1, 0, before), *context_.stream));
  } else if (before > 0) {
    RETURN_IF_ERROR(Copy(entering.Slice(1, border_ - before, border_),
                         halo.Slice(1, 0, before)));
  }
  for (const Parcel& parcel : parcels_) {
    if (owns(parcel)) continue;
    RETURN_IF_ERROR(Copy(parcel.staged, HaloRows(parcel, halo)));
  }
  return ClearOtherDocuments(begin, begin, halo);
}

absl::Status ConvolutionHalo::StartBackward(TensorView d_halo) {
  const int64_t begin = shard_.range().begin;
  RETURN_IF_ERROR(ClearOtherDocuments(begin, begin, d_halo));
  for (const Parcel& parcel : parcels_) {
    if (owns(parcel)) continue;
    RETURN_IF_ERROR(Copy(HaloRows(parcel, d_halo), parcel.staged));
  }
  return Launch(Direction::kBackward);
}

absl::Status ConvolutionHalo::FinishBackward(TensorView d_x) {
  RETURN_IF_ERROR(WaitAll());
  for (const Parcel& parcel : parcels_) {
    if (!owns(parcel)) continue;
    const TensorView rows = OwnedRows(parcel, d_x);
    for (int64_t b = 0; b < shard_.batch(); ++b) {
      const TensorView sum = rows.Select(0, b);
      RETURN_IF_ERROR(context_.backend->elementwise().Add(
          sum, parcel.staged.Select(0, b), sum, *context_.stream));
    }
  }
  return absl::OkStatus();
}

absl::Status ConvolutionHalo::LeavingTail(ConstTensorView x,
                                          ConstTensorView halo,
                                          TensorView tail) {
  const int last = context_.ranks() - 1;
  if (context_.rank() == last) {
    const int64_t own = std::min(border_, shard_.tokens());
    // `tail` may be what entered; the halo has been filled from it already.
    RETURN_IF_ERROR(
        Copy(halo.Slice(1, own, border_), tail.Slice(1, 0, border_ - own)));
    RETURN_IF_ERROR(Copy(x.Slice(1, shard_.tokens() - own, shard_.tokens()),
                         tail.Slice(1, border_ - own, border_)));
    const int64_t end = shard_.piece().tokens;
    RETURN_IF_ERROR(ClearOtherDocuments(end, end - 1, tail));
  }
  if (last == 0) return absl::OkStatus();
  const TensorView flat = tail.Reshape({tail.element_count()});
  std::vector<TensorView> receive(last + 1, flat.Slice(0, 0, 0));
  receive[last] = flat;
  return context_.group
      ->AllGather(receive[context_.rank()], receive,
                  {Traffic::kConvolutionHalo, Direction::kForward, layer_},
                  context_.stream)
      ->Wait();
}

}  // namespace longspan::worker
