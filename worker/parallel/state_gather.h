// LASP-2 (arXiv 2502.07563, with the corrections of docs/math.md): one
// AllGather of all ranks' summaries, which every rank then folds for itself.
#pragma once

#include <memory>

#include "worker/parallel/state_exchange.h"

namespace longspan::worker {

class StateGather : public StateExchange {
 public:
  StateGather(const RankContext& context, int layer, Direction direction,
              const MemoryShape& shape, const StateExchangeOperands& operands);

  kernels::TensorView own_state() const override;
  kernels::TensorView own_decay() const override;

  absl::Status Start() override;
  absl::Status Finish() override;

 private:
  absl::Status FinishForward();
  // The summaries of ranks [begin, end), starting from `initial`.
  absl::Status Fold(int begin, int end, kernels::ConstTensorView initial,
                    kernels::TensorView state);

  const SummaryBuffer summaries_;
  std::unique_ptr<Work> work_;
};

}  // namespace longspan::worker
