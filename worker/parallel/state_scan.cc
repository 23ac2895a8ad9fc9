#include "worker/parallel/state_scan.h"

#include <utility>

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// One more dimension in front.
TensorView AsOne(TensorView view) {
  switch (view.rank()) {
    case 2:
      return view.Reshape({1, view.size(0), view.size(1)});
    case 3:
      return view.Reshape({1, view.size(0), view.size(1), view.size(2)});
    default:
      return view.Reshape(
          {1, view.size(0), view.size(1), view.size(2), view.size(3)});
  }
}

}  // namespace

StateScan::StateScan(const RankContext& context, int layer, Direction direction,
                     const MemoryShape& shape,
                     const StateExchangeOperands& operands)
    : StateExchange(context, layer, direction, shape, operands),
      own_(PairAt(0)),
      sent_(PairAt(1)),
      received_(PairAt(2)),
      before_(PairAt(3)),
      next_(PairAt(4)) {}

StateScan::Pair StateScan::PairAt(int slot) const {
  const SummaryBuffer summaries(
      operands_.scratch.Reshape({5, SummaryBuffer::RowCount(shape_, true)}),
      shape_);
  return {summaries.Row(slot), summaries.State(slot), summaries.Decay(slot)};
}

TensorView StateScan::own_state(int) const { return own_.state; }

TensorView StateScan::own_decay(int) const {
  return operands_.decays.Select(0, 0);
}

// ---- The rounds ------------------------------------------------------------

absl::Status StateScan::Start() {
  RETURN_IF_ERROR(context_.backend->elementwise().Copy(own_decay(0), own_.decay,
                                                       *context_.stream));
  return Launch(1);
}

absl::Status StateScan::Finish() {
  for (int distance = 1; distance < context_.ranks(); distance *= 2) {
    if (distance > 1) RETURN_IF_ERROR(Launch(distance));
    RETURN_IF_ERROR(Land(distance));
  }
  if (has_before_) {
    RETURN_IF_ERROR(Apply(before_, operands_.initial, state()));
  } else {
    RETURN_IF_ERROR(TakeInitial());
  }
  if (operands_.leaving.is_null()) return absl::OkStatus();
  if (RankAfter(1) < 0) {
    RETURN_IF_ERROR(Apply(own_, state(), operands_.leaving));
  }
  return ShareLeaving(operands_.leaving);
}

absl::Status StateScan::Launch(int distance) {
  if (!Sends(distance) && !Receives(distance)) return absl::OkStatus();
  TensorView send;
  if (Sends(distance)) {
    send = has_before_ ? sent_.all : own_.all;
    if (has_before_) {
      RETURN_IF_ERROR(Compose(own_, before_, received_, sent_));
    }
  }
  const TensorView receive = Receives(distance) ? received_.all : TensorView();
  work_ =
      context_.group->SendReceive(send, RankAfter(distance), receive,
                                  RankAfter(-distance), tag_, context_.stream);
  return absl::OkStatus();
}

absl::Status StateScan::Land(int distance) {
  if (!Sends(distance) && !Receives(distance)) return absl::OkStatus();
  RETURN_IF_ERROR(work_->Wait());
  if (!Receives(distance)) return absl::OkStatus();
  if (has_before_) {
    RETURN_IF_ERROR(Compose(before_, received_, sent_, next_));
    std::swap(before_, next_);
  } else {
    std::swap(before_, received_);
    has_before_ = true;
  }
  return absl::OkStatus();
}

// ---- Summaries -------------------------------------------------------------

absl::Status StateScan::Compose(const Pair& later, const Pair& earlier,
                                const Pair& spare, const Pair& to) {
  RETURN_IF_ERROR(Apply(later, earlier.state, to.state));
  return ComposeDecays(later, earlier, spare, to);
}

// Matrices are kept as forward applies them, so backward's product, of
// transposed matrices, has its factors in the other order.
absl::Status StateScan::ComposeDecays(const Pair& later, const Pair& earlier,
                                      const Pair& spare, const Pair& to) {
  kernels::Elementwise& elementwise = context_.backend->elementwise();
  kernels::Stream& stream = *context_.stream;
  if (shape_.decay != kernels::LinearAttentionDecay::kMatrix) {
    return elementwise.Add(later.decay, earlier.decay, to.decay, stream);
  }
  RETURN_IF_ERROR(elementwise.SetZero(spare.decay, stream));
  const Pair& left = forward() ? later : earlier;
  const Pair& right = forward() ? earlier : later;
  return context_.backend->linear_attention().FoldSummaries(
      AsOne(spare.decay), AsOne(left.decay), right.decay, false, to.decay,
      stream);
}

absl::Status StateScan::Apply(const Pair& pair, ConstTensorView initial,
                              TensorView state) {
  return context_.backend->linear_attention().FoldSummaries(
      AsOne(pair.state), AsOne(pair.decay), initial, !forward(), state,
      *context_.stream);
}

}  // namespace longspan::worker
