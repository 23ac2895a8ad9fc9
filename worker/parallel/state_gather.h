// LASP-2 (arXiv 2502.07563, with the corrections of docs/math.md): one
// AllGather of all ranks' summaries, which every rank then folds for itself.
// Under zigzag there is a second AllGather, of the second parts, in flight at
// the same time. Either may be split into several calls, and states may travel
// as bf16 (GatherSettings): a rank's own summary is then made in f32, in the
// memory of its result, and rounded; what was gathered is widened again state
// by state as it is folded, so that sums stay in f32 and every rank folds the
// same numbers.
#pragma once

#include <memory>
#include <vector>

#include "worker/parallel/state_exchange.h"

namespace longspan::worker {

class StateGather : public StateExchange {
 public:
  StateGather(const RankContext& context, int layer, Direction direction,
              const MemoryShape& shape, const StateExchangeOperands& operands);

  kernels::TensorView own_state(int part) const override;
  kernels::TensorView own_decay(int part) const override;

  absl::Status Start() override;
  absl::Status Finish() override;

 private:
  int part_count() const;  // of the piece, without empty ones
  // The part of the piece that is a rank's first or second; -1: it has none.
  int PartOf(int half, int rank) const;
  int own_part(int half) const { return PartOf(half, context_.rank()); }
  bool has_second() const { return own_part(1) >= 0; }
  bool narrow() const { return context_.state_gather.bf16; }
  // Own summaries, to where they are gathered.
  absl::Status Narrow();
  // Sends and receives a split of the first or the second part of every rank.
  std::unique_ptr<Work> Gather(int half, int split);

  absl::Status FinishForward();
  absl::Status FinishBackward();
  // The summaries of parts [begin, end), starting from `initial`.
  absl::Status Fold(int begin, int end, kernels::ConstTensorView initial,
                    kernels::TensorView state);
  // The same for one summary after the other.
  absl::Status FoldNarrow(int begin, int end, kernels::ConstTensorView initial,
                          kernels::TensorView state);

  const SummaryBuffer summaries_;
  const kernels::TensorView widened_;  // [1, B, H, Dk, Dv]; null: not narrow
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace longspan::worker
