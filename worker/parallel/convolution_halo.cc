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
    Parcel parcel = {move, OwnerOf(move.from, context.ranks()),
                     OwnerOf(move.to, context.ranks()), TensorView()};
    if (!owns(parcel) && !needs(parcel)) continue;
    const int64_t rows = move.tokens.size();
    const int64_t count = shard.batch() * rows * channels;
    if (parcel.from != parcel.to) {
      parcel.staged = staging.Slice(0, used, used + count)
                          .Reshape({shard.batch(), rows, channels});
      used += count;
    }
    parcels_.push_back(parcel);
  }
}

int ConvolutionHalo::PlaceOf(int part) const {
  return shard_.parts()[0].index == part ? 0 : 1;
}

template <typename View>
View ConvolutionHalo::OwnedRows(const Parcel& parcel, View x) const {
  const ShardPart& part = shard_.parts()[PlaceOf(parcel.move.from)];
  return part.Of(x).Slice(1, parcel.move.tokens.begin - part.range.begin,
                          parcel.move.tokens.end - part.range.begin);
}

template <typename View>
View ConvolutionHalo::HaloRows(const Parcel& parcel, View halo) const {
  const int place = PlaceOf(parcel.move.to);
  const int64_t begin = shard_.parts()[place].range.begin - border_;
  return halo.Select(0, place).Slice(1, parcel.move.tokens.begin - begin,
                                     parcel.move.tokens.end - begin);
}

absl::Status ConvolutionHalo::Copy(ConstTensorView from, TensorView to) const {
  return context_.backend->elementwise().Copy(from, to, *context_.stream);
}

absl::Status ConvolutionHalo::Launch(Direction direction) {
  for (const Parcel& parcel : parcels_) {
    if (parcel.staged.is_null()) continue;
    const bool sends = owns(parcel) == (direction == Direction::kForward);
    const int peer = owns(parcel) ? parcel.to : parcel.from;
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

absl::Status ConvolutionHalo::ClearOtherDocuments(TensorView halos) const {
  for (int i = 0; i < shard_.part_count(); ++i) {
    const int64_t begin = shard_.parts()[i].range.begin;
    RETURN_IF_ERROR(ClearOtherDocuments(begin, begin, halos.Select(0, i)));
  }
  return absl::OkStatus();
}

absl::Status ConvolutionHalo::StartForward(ConstTensorView x) {
  for (const Parcel& parcel : parcels_) {
    if (!owns(parcel) || needs(parcel)) continue;
    RETURN_IF_ERROR(Copy(OwnedRows(parcel, x), parcel.staged));
  }
  return Launch(Direction::kForward);
}

absl::Status ConvolutionHalo::TakeEntering(const ShardPart& part,
                                           ConstTensorView entering,
                                           TensorView halo) const {
  const int64_t before = std::max<int64_t>(0, border_ - part.range.begin);
  if (before == 0) return absl::OkStatus();
  if (entering.is_null()) {
    return context_.backend->elementwise().SetZero(halo.Slice(1, 0, before),
                                                   *context_.stream);
  }
  return Copy(entering.Slice(1, border_ - before, border_),
              halo.Slice(1, 0, before));
}

absl::Status ConvolutionHalo::FinishForward(ConstTensorView x,
                                            ConstTensorView entering,
                                            TensorView halo) {
  RETURN_IF_ERROR(WaitAll());
  for (int i = 0; i < shard_.part_count(); ++i) {
    RETURN_IF_ERROR(
        TakeEntering(shard_.parts()[i], entering, halo.Select(0, i)));
  }
  for (const Parcel& parcel : parcels_) {
    if (!needs(parcel)) continue;
    RETURN_IF_ERROR(Copy(
        owns(parcel) ? OwnedRows(parcel, x) : ConstTensorView(parcel.staged),
        HaloRows(parcel, halo)));
  }
  return ClearOtherDocuments(halo);
}

absl::Status ConvolutionHalo::StartBackward(TensorView d_halo) {
  RETURN_IF_ERROR(ClearOtherDocuments(d_halo));
  for (const Parcel& parcel : parcels_) {
    if (!needs(parcel) || owns(parcel)) continue;
    RETURN_IF_ERROR(Copy(HaloRows(parcel, d_halo), parcel.staged));
  }
  return Launch(Direction::kBackward);
}

absl::Status ConvolutionHalo::FinishBackward(ConstTensorView d_halo,
                                             TensorView d_x) {
  RETURN_IF_ERROR(WaitAll());
  for (const Parcel& parcel : parcels_) {
    if (!owns(parcel)) continue;
    const TensorView rows = OwnedRows(parcel, d_x);
    const ConstTensorView added = needs(parcel)
                                      ? HaloRows(parcel, d_halo)
                                      : ConstTensorView(parcel.staged);
    for (int64_t b = 0; b < shard_.batch(); ++b) {
      const TensorView sum = rows.Select(0, b);
      RETURN_IF_ERROR(context_.backend->elementwise().Add(
          sum, added.Select(0, b), sum, *context_.stream));
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
    RETURN_IF_ERROR(Copy(halo.Select(0, 0).Slice(1, own, border_),
                         tail.Slice(1, 0, border_ - own)));
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
