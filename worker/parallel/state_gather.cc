#include "worker/parallel/state_gather.h"

#include "common/base/status_macros.h"
#include "common/model_spec/token_layout.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// One row per part.
TensorView RowsOf(TensorView scratch, int64_t parts) {
  return scratch.Reshape({parts, scratch.element_count() / parts});
}

}  // namespace

StateGather::StateGather(const RankContext& context, int layer,
                         Direction direction, const MemoryShape& shape,
                         const StateExchangeOperands& operands)
    : StateExchange(context, layer, direction, shape, operands),
      summaries_(RowsOf(operands.scratch, operands.decays.size(0)), shape) {}

int StateGather::part_count() const {
  return static_cast<int>(operands_.decays.size(0));
}

int StateGather::PartOf(int half, int rank) const {
  const int part = PartAt(half, rank, context_.ranks());
  return part < part_count() ? part : -1;
}

TensorView StateGather::own_state(int part) const {
  return summaries_.State(own_part(part));
}

TensorView StateGather::own_decay(int part) const {
  if (operands_.decays_travel) return summaries_.Decay(own_part(part));
  return operands_.decays.Select(0, own_part(part));
}

std::unique_ptr<Work> StateGather::Gather(int half) {
  const TensorView nothing = summaries_.Row(0).Slice(0, 0, 0);
  std::vector<TensorView> rows;
  rows.reserve(context_.ranks());
  for (int r = 0; r < context_.ranks(); ++r) {
    const int part = PartOf(half, r);
    rows.push_back(part < 0 ? nothing : summaries_.Row(part));
  }
  return context_.group->AllGather(rows[context_.rank()], rows, tag_,
                                   context_.stream);
}

absl::Status StateGather::Start() {
  works_.push_back(Gather(0));
  if (part_count() > context_.ranks()) works_.push_back(Gather(1));
  return absl::OkStatus();
}

absl::Status StateGather::Finish() {
  for (const std::unique_ptr<Work>& work : works_) {
    RETURN_IF_ERROR(work->Wait());
  }
  return forward() ? FinishForward() : FinishBackward();
}

// What enters the second part is what enters the first, carried on.
absl::Status StateGather::FinishForward() {
  if (operands_.decays_travel) {
    RETURN_IF_ERROR(context_.backend->elementwise().Copy(
        summaries_.Decays(), operands_.decays, *context_.stream));
  }
  RETURN_IF_ERROR(Fold(0, own_part(0), operands_.initial, state(0)));
  if (has_second()) {
    RETURN_IF_ERROR(Fold(own_part(0), own_part(1), state(0), state(1)));
  }
  if (operands_.leaving.is_null()) return absl::OkStatus();
  return Fold(0, part_count(), operands_.initial, operands_.leaving);
}

absl::Status StateGather::FinishBackward() {
  const int first = own_part(0);
  const int second = own_part(1);
  if (second < 0) {
    return Fold(first + 1, part_count(), ConstTensorView(), state(0));
  }
  RETURN_IF_ERROR(Fold(second + 1, part_count(), ConstTensorView(), state(1)));
  return Fold(first + 1, second + 1, state(1), state(0));
}

absl::Status StateGather::Fold(int begin, int end, ConstTensorView initial,
                               TensorView state) {
  return context_.backend->linear_attention().FoldSummaries(
      summaries_.States().Slice(0, begin, end),
      operands_.decays.Slice(0, begin, end), initial, !forward(), state,
      *context_.stream);
}

}  // namespace longspan::worker
