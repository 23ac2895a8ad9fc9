#include "common/model_spec/kv_exchange_plan.h"

#include <algorithm>
#include <utility>

#include "common/model_spec/token_layout.h"

namespace longspan {
namespace {

// `own` of all `tokens` are this rank's.
KvMoves KvGatherMoves(int64_t own, int64_t tokens, int64_t ranks, int64_t calls,
                      bool forward) {
  const int64_t sent = (ranks - 1) * own;
  const int64_t others = tokens - own;
  KvMoves moves;
  moves.calls = calls;
  (forward ? moves.sent : moves.sums_received) = sent;
  (forward ? moves.received : moves.sums_sent) = others;
  return moves;
}

class RingMoves {
 public:
  RingMoves(absl::Span<const TokenRange> ranges, int64_t window, int rank)
      : ranges_(ranges), rank_(rank), route_(ranges, window, rank) {}

  // Keys and values, from rank to rank.
  void Travel(KvMoves& moves) const {
    for (int step = 0; step < route_.steps(); ++step) {
      const bool sends = route_.Sends(step);
      const bool receives = route_.Receives(step);
      moves.calls += sends || receives ? 1 : 0;
      moves.sent += sends ? TokensAt(step) : 0;
      moves.received += receives ? TokensAt(step + 1) : 0;
    }
  }

  // The sums behind them, and home.
  void Follow(KvMoves& moves) const {
    for (int step = 0; step <= route_.steps(); ++step) {
      const bool sends = route_.Sends(step) || route_.TurnsHome(step);
      const int receives =
          (route_.Receives(step) ? 1 : 0) + (route_.ComesHome(step) ? 1 : 0);
      moves.calls += std::max(sends ? 1 : 0, receives);
      moves.sums_sent += sends ? TokensAt(step) : 0;
      moves.sums_received +=
          (route_.Receives(step) ? TokensAt(step + 1) : 0) +
          (route_.ComesHome(step) ? ranges_[rank_].size() : 0);
    }
  }

 private:
  int64_t TokensAt(int step) const {
    return ranges_[route_.ShardAt(step)].size();
  }

  const absl::Span<const TokenRange> ranges_;
  const int rank_;
  const KvRoute route_;
};

}  // namespace

std::string_view SoftmaxParallelName(SoftmaxParallel method) {
  switch (method) {
    case SoftmaxParallel::kGather:
      return "gather";
    case SoftmaxParallel::kRing:
      return "ring";
    case SoftmaxParallel::kUlysses:
      return "ulysses";
    case SoftmaxParallel::kMegatronSp:
      return "megatron_sp";
  }
  return "unknown";
}

int64_t KeySliceCount(SoftmaxParallel method, int64_t ranks, int64_t key_heads,
                      bool carries_state) {
  const bool slices =
      method == SoftmaxParallel::kGather && ranks > 1 && !carries_state;
  return slices ? std::min(key_heads, kMostKeySlices) : 1;
}

std::vector<KeySlice> CutKeyHeads(int64_t key_heads, int64_t slices) {
  std::vector<KeySlice> cut;
  int64_t begin = 0;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t heads = key_heads / slices + (i < key_heads % slices ? 1 : 0);
    cut.push_back({begin, begin + heads});
    begin += heads;
  }
  return cut;
}

KvRoute::KvRoute(absl::Span<const TokenRange> ranges, int64_t window, int rank)
    : rank_(rank) {
  const int readers = FilledParts(ranges);
  std::vector<int> reaches;
  int last = 0;  // reader of a shard: no earlier than that of the shard before
  for (int shard = 0; shard < static_cast<int>(ranges.size()); ++shard) {
    last = std::max(last, shard);
    while (last + 1 < readers &&
           LastQueryEnd(ranges[shard], ranges[last + 1], window) >
               ranges[last + 1].begin) {
      ++last;
    }
    reaches.push_back(last - shard);
    steps_ = std::max(steps_, reaches.back());
  }
  reaches_ = std::make_shared<const std::vector<int>>(std::move(reaches));
}

KvRoute KvRoute::OfRank(int rank) const {
  KvRoute other = *this;
  other.rank_ = rank;
  return other;
}

int KvRoute::ShardAt(int step) const {
  return (rank_ + ranks() - step) % ranks();
}

int KvRoute::LastHolder() const { return (rank_ + reach(rank_)) % ranks(); }

int64_t LastQueryEnd(TokenRange shard, TokenRange reader, int64_t window) {
  if (window == 0) return reader.end;
  return std::min(reader.end, shard.end + window - 1);
}

KvMoves PlanKvMoves(SoftmaxParallel method, absl::Span<const TokenRange> ranges,
                    int64_t window, int rank, bool forward) {
  if (method == SoftmaxParallel::kGather) {
    return KvGatherMoves(ranges[rank].size(), ranges.back().end,
                         static_cast<int64_t>(ranges.size()), 1, forward);
  }
  const RingMoves ring(ranges, window, rank);
  KvMoves moves;
  ring.Travel(moves);
  if (!forward) ring.Follow(moves);
  return moves;
}

KvMoves PlanPartKvMoves(absl::Span<const TokenRange> ranges, int rank,
                        bool forward) {
  constexpr TokenLayout kLayout = TokenLayout::kZigzag;
  const int ranks = RankCount(kLayout, static_cast<int64_t>(ranges.size()));
  return KvGatherMoves(TokensOf(kLayout, ranges, rank), ranges.back().end,
                       ranks, FilledParts(ranges) > ranks ? 2 : 1, forward);
}

int64_t LongestRange(absl::Span<const TokenRange> ranges) {
  int64_t longest = 0;
  for (const TokenRange& range : ranges) {
    longest = std::max(longest, range.size());
  }
  return longest;
}

}  // namespace longspan
