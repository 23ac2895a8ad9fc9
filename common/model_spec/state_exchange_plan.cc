#include "common/model_spec/state_exchange_plan.h"

#include <algorithm>

namespace longspan {
namespace {

StateMoves StateGatherMoves(const StateExchangeShape& shape, int ranks,
                            bool forward) {
  const int64_t others = (ranks - 1) * shape.gathered(forward);
  return {shape.gather.splits, others, others};
}

// `place` counts from where the chain begins.
StateMoves ChainMoves(int64_t blocks, int64_t state, int place, int ranks) {
  const bool first = place == 0;
  const bool last = place == ranks - 1;
  return {first || last ? blocks : blocks + 1, last ? 0 : state,
          first ? 0 : state};
}

StateMoves ScanMoves(int64_t pair, int place, int ranks) {
  StateMoves moves;
  for (int distance = 1; distance < ranks; distance *= 2) {
    const bool sends = place + distance < ranks;
    const bool receives = place >= distance;
    moves.calls += sends || receives ? 1 : 0;
    moves.sent += sends ? pair : 0;
    moves.received += receives ? pair : 0;
  }
  return moves;
}

}  // namespace

std::string_view SequenceParallelName(SequenceParallel method) {
  switch (method) {
    case SequenceParallel::kLasp2:
      return "lasp2";
    case SequenceParallel::kLasp1:
      return "lasp1";
    case SequenceParallel::kLasp1Serial:
      return "lasp1_serial";
    case SequenceParallel::kAllScan:
      return "all_scan";
    case SequenceParallel::kScan:
      return "scan";
    case SequenceParallel::kUlysses:
      return "ulysses";
    case SequenceParallel::kRing:
      return "ring";
    case SequenceParallel::kMegatronSp:
      return "megatron_sp";
    case SequenceParallel::kRingLeft:
      return "ring_left";
  }
  return "unknown";
}

int64_t StateBlocks(SequenceParallel method, int64_t heads) {
  if (method != SequenceParallel::kAllScan) return 1;
  return std::min(kAllScanBlocks, heads);
}

int64_t StateExchangeScratch(SequenceParallel method,
                             const StateExchangeShape& shape, int ranks,
                             bool forward) {
  if (method == SequenceParallel::kScan) return 5 * (shape.state + shape.decay);
  if (RowsTravel(method)) return ranks * shape.state;
  if (method != SequenceParallel::kLasp2) return 2 * shape.state;
  // In bf16 one state besides, which is widened where it is folded.
  const int64_t widened = shape.gather.bf16 ? shape.state : 0;
  return ranks * shape.gathered(forward) + widened;
}

StateMoves PlanStateMoves(SequenceParallel method,
                          const StateExchangeShape& shape, int rank, int ranks,
                          bool forward, bool leaves) {
  if (method == SequenceParallel::kLasp2) {
    return StateGatherMoves(shape, ranks, forward);
  }
  const int place = forward ? rank : ranks - 1 - rank;
  StateMoves moves = method == SequenceParallel::kScan
                         ? ScanMoves(shape.state + shape.decay, place, ranks)
                         : ChainMoves(StateBlocks(method, shape.heads),
                                      shape.state, place, ranks);
  if (!forward || !leaves) return moves;
  const bool last = rank == ranks - 1;
  ++moves.calls;
  moves.sent += last ? (ranks - 1) * shape.state : 0;
  moves.received += last ? 0 : shape.state;
  return moves;
}

StateMoves PlanPartMoves(const StateExchangeShape& shape, int own, int parts,
                         int ranks, bool forward) {
  const int64_t row = shape.gathered(forward);
  return {(parts > ranks ? 2 : 1) * shape.gather.splits,
          own * (ranks - 1) * row, (parts - own) * row};
}

}  // namespace longspan
