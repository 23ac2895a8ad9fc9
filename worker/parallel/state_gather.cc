#include "worker/parallel/state_gather.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "common/model_spec/token_layout.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// What a narrow gather needs besides its rows.
int64_t WidenedCount(const RankContext& context, const MemoryShape& shape) {
  return context.state_gather.bf16 ? shape.state_count() : 0;
}

// One row per part.
TensorView RowsOf(TensorView scratch, int64_t widened, int64_t parts) {
  const int64_t count = scratch.element_count() - widened;
  return scratch.Slice(0, 0, count).Reshape({parts, count / parts});
}

TensorView WidenedOf(TensorView scratch, int64_t widened,
                     const MemoryShape& shape) {
  if (widened == 0) return TensorView();
  const int64_t count = scratch.element_count();
  return scratch.Slice(0, count - widened, count)
      .Reshape({1, shape.batch, shape.heads, shape.key_dim, shape.value_dim});
}

}  // namespace

StateGather::StateGather(const RankContext& context, int layer,
                         Direction direction, const MemoryShape& shape,
                         const StateExchangeOperands& operands)
    : StateExchange(context, layer, direction, shape, operands),
      summaries_(RowsOf(operands.scratch, WidenedCount(context, shape),
                        operands.decays.size(0)),
                 shape, context.state_gather.bf16),
      widened_(
          WidenedOf(operands.scratch, WidenedCount(context, shape), shape)) {}

int StateGather::part_count() const {
  return static_cast<int>(operands_.decays.size(0));
}

int StateGather::PartOf(int half, int rank) const {
  const int part = PartAt(half, rank, context_.ranks());
  return part < part_count() ? part : -1;
}

TensorView StateGather::own_state(int part) const {
  return narrow() ? state(part) : summaries_.State(own_part(part));
}

TensorView StateGather::own_decay(int part) const {
  if (operands_.decays_travel) return summaries_.Decay(own_part(part));
  return operands_.decays.Select(0, own_part(part));
}

std::unique_ptr<Work> StateGather::Gather(int half, int split) {
  const int splits = context_.state_gather.splits;
  std::vector<TensorView> rows;
  rows.reserve(context_.ranks());
  for (int r = 0; r < context_.ranks(); ++r) {
    const int part = PartOf(half, r);
    const TensorView row = summaries_.Row(std::max(part, 0));
    const int64_t size = part < 0 ? 0 : row.element_count();
    rows.push_back(
        row.Slice(0, size * split / splits, size * (split + 1) / splits));
  }
  return context_.group->AllGather(rows[context_.rank()], rows, tag_,
                                   context_.stream);
}

absl::Status StateGather::Narrow() {
  for (int half = 0; half < (has_second() ? 2 : 1); ++half) {
    RETURN_IF_ERROR(context_.backend->elementwise().Copy(
        state(half), summaries_.State(own_part(half)), *context_.stream));
  }
  return absl::OkStatus();
}

absl::Status StateGather::Start() {
  if (narrow()) RETURN_IF_ERROR(Narrow());
  const int halves = part_count() > context_.ranks() ? 2 : 1;
  for (int half = 0; half < halves; ++half) {
    for (int split = 0; split < context_.state_gather.splits; ++split) {
      works_.push_back(Gather(half, split));
    }
  }
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
  if (narrow() && begin < end) return FoldNarrow(begin, end, initial, state);
  return context_.backend->linear_attention().FoldSummaries(
      narrow() ? TensorView() : summaries_.States().Slice(0, begin, end),
      operands_.decays.Slice(0, begin, end), initial, !forward(), state,
      *context_.stream);
}

absl::Status StateGather::FoldNarrow(int begin, int end,
                                     ConstTensorView initial,
                                     TensorView state) {
  for (int n = 0; n < end - begin; ++n) {
    const int part = forward() ? begin + n : end - 1 - n;
    RETURN_IF_ERROR(context_.backend->elementwise().Copy(
        summaries_.State(part), widened_.Select(0, 0), *context_.stream));
    RETURN_IF_ERROR(context_.backend->linear_attention().FoldSummaries(
        widened_, operands_.decays.Slice(0, part, part + 1), initial,
        !forward(), state, *context_.stream));
    initial = state;
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
