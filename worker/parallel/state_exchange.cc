#include "worker/parallel/state_exchange.h"

#include <vector>

#include "common/base/check.h"
#include "worker/parallel/state_chain.h"
#include "worker/parallel/state_gather.h"
#include "worker/parallel/state_ring.h"
#include "worker/parallel/state_scan.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

int StateExchange::RankAfter(int distance) const {
  const int rank = context_.rank() + (forward() ? distance : -distance);
  return 0 <= rank && rank < context_.ranks() ? rank : -1;
}

absl::Status StateExchange::TakeInitial() {
  kernels::Elementwise& elementwise = context_.backend->elementwise();
  if (operands_.initial.is_null()) {
    return elementwise.SetZero(state(), *context_.stream);
  }
  return elementwise.Copy(operands_.initial, state(), *context_.stream);
}

absl::Status StateExchange::ShareLeaving(ConstTensorView state) {
  const int last = context_.ranks() - 1;
  const TensorView nothing = operands_.leaving.Slice(0, 0, 0);
  std::vector<TensorView> receive(context_.ranks(), nothing);
  receive[last] = operands_.leaving;
  return context_.group
      ->AllGather(context_.rank() == last ? state : ConstTensorView(nothing),
                  receive, tag_, context_.stream)
      ->Wait();
}

std::unique_ptr<StateExchange> CreateStateExchange(
    const RankContext& context, int layer, Direction direction,
    const MemoryShape& shape, const StateExchangeOperands& operands) {
  switch (context.method) {
    case SequenceParallel::kLasp2:
      return std::make_unique<StateGather>(context, layer, direction, shape,
                                           operands);
    case SequenceParallel::kScan:
      return std::make_unique<StateScan>(context, layer, direction, shape,
                                         operands);
    case SequenceParallel::kLasp1:
    case SequenceParallel::kLasp1Serial:
    case SequenceParallel::kAllScan:
      return std::make_unique<StateChain>(context, layer, direction, shape,
                                          operands);
    case SequenceParallel::kRing:
      return std::make_unique<StateRing>(context, layer, direction, shape,
                                         operands);
    case SequenceParallel::kUlysses:
    case SequenceParallel::kMegatronSp:
    case SequenceParallel::kRingLeft:
      break;
  }
  LONGSPAN_CHECK(false) << "no states travel with "
                        << SequenceParallelName(context.method);
  return nullptr;
}

}  // namespace longspan::worker
