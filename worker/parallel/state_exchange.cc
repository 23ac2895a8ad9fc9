#include "worker/parallel/state_exchange.h"

#include "worker/parallel/state_chain.h"
#include "worker/parallel/state_gather.h"
#include "worker/parallel/state_scan.h"

namespace longspan::worker {

std::unique_ptr<StateExchange> CreateStateExchange(
    const RankContext& context, int layer, Direction direction,
    const MemoryShape& shape, const StateExchangeOperands& operands) {
  if (context.method == SequenceParallel::kLasp2) {
    return std::make_unique<StateGather>(context, layer, direction, shape,
                                         operands);
  }
  if (context.method == SequenceParallel::kScan) {
    return std::make_unique<StateScan>(context, layer, direction, shape,
                                       operands);
  }
  return std::make_unique<StateChain>(context, layer, direction, shape,
                                      operands);
}

}  // namespace longspan::worker
