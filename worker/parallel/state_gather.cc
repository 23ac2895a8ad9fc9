#include "worker/parallel/state_gather.h"

#include <vector>

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// One row per rank.
TensorView RowsOf(TensorView scratch, int64_t ranks) {
  return scratch.Reshape({ranks, scratch.element_count() / ranks});
}

}  // namespace

StateGather::StateGather(const RankContext& context, int layer,
                         Direction direction, const MemoryShape& shape,
                         const StateExchangeOperands& operands)
    : StateExchange(context, layer, direction, shape, operands),
      summaries_(RowsOf(operands.scratch, context.ranks()), shape) {}

TensorView StateGather::own_state() const {
  return summaries_.State(context_.rank());
}

TensorView StateGather::own_decay() const {
  if (operands_.decays_travel) return summaries_.Decay(context_.rank());
  return operands_.decays.Select(0, context_.rank());
}

absl::Status StateGather::Start() {
  std::vector<TensorView> rows;
  rows.reserve(context_.ranks());
  for (int r = 0; r < context_.ranks(); ++r) rows.push_back(summaries_.Row(r));
  work_ = context_.group->AllGather(rows[context_.rank()], rows, tag_,
                                    context_.stream);
  return absl::OkStatus();
}

absl::Status StateGather::Finish() {
  RETURN_IF_ERROR(work_->Wait());
  if (forward()) return FinishForward();
  return Fold(context_.rank() + 1, context_.ranks(), ConstTensorView(),
              operands_.state);
}

absl::Status StateGather::FinishForward() {
  if (operands_.decays_travel) {
    RETURN_IF_ERROR(context_.backend->elementwise().Copy(
        summaries_.Decays(), operands_.decays, *context_.stream));
  }
  RETURN_IF_ERROR(Fold(0, context_.rank(), operands_.initial, operands_.state));
  if (operands_.leaving.is_null()) return absl::OkStatus();
  return Fold(0, context_.ranks(), operands_.initial, operands_.leaving);
}

absl::Status StateGather::Fold(int begin, int end, ConstTensorView initial,
                               TensorView state) {
  return context_.backend->linear_attention().FoldSummaries(
      summaries_.States().Slice(0, begin, end),
      operands_.decays.Slice(0, begin, end), initial, !forward(), state,
      *context_.stream);
}

}  // namespace longspan::worker
