// What the exchange of one softmax layer's keys and values between ranks
// costs, by method: memory, messages and payload. Workers move and allocate by
// these functions and tests compare the transport's counters with them.
//
//     n tokens of a rank, N of all W ranks; per token 2 Hkv D numbers, c = 1
//
//     method   forward, sent by a rank   backward                 keys held
//     gather   (W - 1) n                 N - n, in sums           N
//     ring     at most (W - 1) n         the same, and as many    own + 2 n
//                                        sums
//
// gather (LASP-2H, arXiv 2502.07563) gathers all keys and values, keeps them
// for backward and reduce-scatters their gradients, in slices of heads: the
// same bytes in as many calls as there are slices. ring (Ring Attention,
// arXiv 2310.01889) sends every rank's keys and values, its shard, from rank to
// rank while each attends to the shard at hand; backward they go the same way
// again, followed by the sums of their gradients, which take one more step
// home. Ranks of unequal length send what they have at hand.
//
// A shard goes no further than the last rank with a query that sees some of it,
// and its sums go home from there: without a window to the last rank, so that
// of even ranges rank r sends (r + 1) n, the last rank nothing, which is half
// of the (W - 1) n and W n of shards that go all round; with a window no
// further than that reaches.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "common/model_spec/token_range.h"

namespace longspan {

// `softmax_sequence_parallel` of a job.
enum class SoftmaxParallel {
  kGather,
  kRing,
  kUlysses,    // heads travel, not keys (head_exchange_plan.h)
  kMegatronSp  // heads are cut, and the layer's input travels (head_slices.h)
};

// Whether ranks share out the heads and not the tokens: nothing else in this
// file is about such a method, nor about kMegatronSp.
inline bool HeadsTravel(SoftmaxParallel method, int64_t ranks) {
  return ranks > 1 && method == SoftmaxParallel::kUlysses;
}

// Whether ranks compute some of the heads over all tokens.
inline bool SharesHeads(SoftmaxParallel method) {
  return method == SoftmaxParallel::kUlysses ||
         method == SoftmaxParallel::kMegatronSp;
}

std::string_view SoftmaxParallelName(SoftmaxParallel method);  // "gather"

// Whether a rank holds the keys of all ranks at once.
inline bool GathersKeys(SoftmaxParallel method, int64_t ranks) {
  return ranks == 1 || method == SoftmaxParallel::kGather;
}

// Heads of keys whose keys and values travel together, with all heads of
// queries that read them.
struct KeySlice {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t heads() const { return end - begin; }
};

// How many of them gather sends, one behind the other: attention to a slice
// runs while the next one is on its way, and backward the sums of the gradients
// of one while the next are computed. So a slice's transfer is waited for in
// any case, and the others as far as attention is shorter. Four leave a
// quarter; more would leave little less and add as many calls again. One where
// nothing travels by heads: on one rank, and with a carried state, whose rows
// have all heads.
inline constexpr int64_t kMostKeySlices = 4;
int64_t KeySliceCount(SoftmaxParallel method, int64_t ranks, int64_t key_heads,
                      bool carries_state);

// As even as can be, the widest first. slices <= key_heads.
std::vector<KeySlice> CutKeyHeads(int64_t key_heads, int64_t slices);

// What one rank of a ring does at each step. At step 0 it has its own shard at
// hand, at step s that of s ranks before it (around the ring).
class KvRoute {
 public:
  // `window`: tokens that a query sees, 0: all before it.
  KvRoute(absl::Span<const TokenRange> ranges, int64_t window, int rank);
  // That of another rank.
  KvRoute OfRank(int rank) const;

  // The last step of any rank.
  int steps() const { return steps_; }
  int ShardAt(int step) const;
  // Whether the shard gets here, goes on from here, or turns home here.
  bool Holds(int step) const { return ReachAt(step) >= step; }
  bool Sends(int step) const { return ReachAt(step) > step; }
  bool TurnsHome(int step) const { return step > 0 && ReachAt(step) == step; }
  bool Receives(int step) const { return step < steps_ && Holds(step + 1); }

  // Whether this rank's own shard leaves it, the step at which the sums of its
  // gradients come home, and from which rank. That rank sends them in the same
  // step, so that no step waits for a later one.
  bool Leaves() const { return reach(rank_) > 0; }
  bool ComesHome(int step) const { return step > 0 && reach(rank_) == step; }
  int LastHolder() const;
  int next() const { return (rank_ + 1) % ranks(); }
  int previous() const { return (rank_ + ranks() - 1) % ranks(); }

 private:
  int ranks() const { return static_cast<int>(reaches_->size()); }
  int reach(int shard) const { return (*reaches_)[shard]; }
  int ReachAt(int step) const { return reach(ShardAt(step)); }

  int rank_;
  int steps_ = 0;
  // By shard: the steps it takes. Of all ranks' routes.
  std::shared_ptr<const std::vector<int>> reaches_;
};

// The end of the queries of `reader` that see a token of `shard`, which is not
// behind them; they begin with the first.
int64_t LastQueryEnd(TokenRange shard, TokenRange reader, int64_t window);

// Of one rank and pass, in tokens.
struct KvMoves {
  int64_t calls = 0;  // of gather for each slice
  int64_t sent = 0;   // keys and values
  int64_t received = 0;
  int64_t sums_sent = 0;  // gradients, in the type of sums
  int64_t sums_received = 0;
};

KvMoves PlanKvMoves(SoftmaxParallel method, absl::Span<const TokenRange> ranges,
                    int64_t window, int rank, bool forward);

// gather under the layout zigzag, whose parts `ranges` are: the first parts of
// all ranks travel, then the second ones.
KvMoves PlanPartKvMoves(absl::Span<const TokenRange> ranges, int rank,
                        bool forward);

// Tokens of the longest range: what a travelling shard needs room for.
int64_t LongestRange(absl::Span<const TokenRange> ranges);

}  // namespace longspan
