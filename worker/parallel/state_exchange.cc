#include "worker/parallel/state_exchange.h"

#include <vector>

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

StateExchange::StateExchange(const RankContext& context, int layer,
                             const MemoryShape& shape, TensorView buffer)
    : context_(context),
      layer_(layer),
      rank_(context.rank()),
      summaries_(buffer, shape) {}

absl::Status StateExchange::Start(Direction direction) {
  std::vector<TensorView> rows;
  rows.reserve(context_.ranks());
  for (int r = 0; r < context_.ranks(); ++r) rows.push_back(summaries_.Row(r));
  work_ = context_.group->AllGather(
      rows[rank_], rows, {Traffic::kStateExchange, direction, layer_},
      context_.stream);
  return absl::OkStatus();
}

absl::Status StateExchange::Wait() { return work_->Wait(); }

absl::Status StateExchange::KeepDecays(TensorView decays) const {
  return context_.backend->elementwise().Copy(summaries_.Decays(), decays,
                                              *context_.stream);
}

absl::Status StateExchange::FoldBefore(ConstTensorView decays,
                                       ConstTensorView entering,
                                       TensorView state) {
  return Fold(decays, 0, rank_, entering, false, state);
}

absl::Status StateExchange::FoldAll(ConstTensorView decays,
                                    ConstTensorView entering,
                                    TensorView state) {
  return Fold(decays, 0, context_.ranks(), entering, false, state);
}

absl::Status StateExchange::FoldAfter(ConstTensorView decays,
                                      TensorView d_state) {
  return Fold(decays, rank_ + 1, context_.ranks(), ConstTensorView(), true,
              d_state);
}

absl::Status StateExchange::Fold(ConstTensorView decays, int begin, int end,
                                 ConstTensorView initial, bool reverse,
                                 TensorView state) {
  return context_.backend->linear_attention().FoldSummaries(
      summaries_.States().Slice(0, begin, end), decays.Slice(0, begin, end),
      initial, reverse, state, *context_.stream);
}

}  // namespace longspan::worker
