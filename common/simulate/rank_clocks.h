// The clocks of all ranks of a step: when each gets to where it is. Ranks run
// on their own until a transfer holds them, so a rank that never waits is ahead
// of one that does, and what a chain of ranks delays in one layer it does not
// delay again in the next.
//
// Compute is exact for ranks that have a device each. `window` is the time of
// work that a rank has to do while a transfer is under way and that needs none
// of its bytes; it is done in any case.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/model_spec/kv_exchange_plan.h"
#include "common/simulate/network.h"

namespace longspan {

class RankClocks {
 public:
  RankClocks(const Network& network, int64_t ranks)
      : network_(network),
        now_(ranks, 0.0),
        busy_(ranks, 0.0),
        link_free_(ranks, 0.0) {}

  int64_t ranks() const { return static_cast<int64_t>(now_.size()); }

  // Work of every rank.
  void Compute(double seconds);
  void Compute(const std::function<double(int64_t rank)>& seconds);

  // Ends on all ranks `seconds` after the last one began it.
  void Collective(double seconds, double window);
  void Collective(double seconds,
                  const std::function<double(int64_t rank)>& window);

  // A state that goes from rank to rank in blocks (lasp1, all_scan); forward
  // to higher ranks. Receiving ranks do `window` first, or, if they wait first
  // (lasp1_serial), then do `before_send` and send.
  struct Chain {
    double bytes = 0;
    int64_t blocks = 1;
    bool forward = true;
    double window = 0;
    bool waits_first = false;
    double before_send = 0;
  };
  void PassOn(const Chain& chain);

  // Rows of every rank go to all that come after it, a shard at a time and the
  // nearest first (ring, ring_left). Ranks do `window` while the first is under
  // way, and `work` on every shard while the next is.
  struct Rows {
    double bytes = 0;  // of a shard
    bool forward = true;
    double window = 0;
    double work = 0;
  };
  void PassRows(const Rows& rows);

  // Keys and values of every rank by the routes of Ring Attention. A rank
  // sends on the shard at hand and works on it while the next comes; where
  // sums of gradients travel they follow their shard, a step behind, and go
  // home from its last reader.
  struct Keys {
    std::function<double(int shard)> bytes;
    std::function<double(int shard)> sum_bytes;  // null: no sums travel
    std::function<double(int rank, int shard)> work;
    bool overlap = true;  // false: a rank waits for the next shard, then works
  };
  // `route`: of any rank.
  void PassKeys(const KvRoute& route, const Keys& keys);

  // Every rank but the last one to the next (forward), or the other way.
  void Shift(double bytes, bool forward);

  // Rounds in which rank r sends to r + 1, r + 2, r + 4, ...; `window` is done
  // during the first.
  void Scan(double bytes, bool forward, double window);

  double last() const;     // when the last rank is there
  double busiest() const;  // most compute of a rank

 private:
  void Work(int64_t rank, double seconds) {
    now_[rank] += seconds;
    busy_[rank] += seconds;
  }
  // When a message that `from` hands over at `now` arrives at `to`. It follows
  // what `from` sent before.
  double Send(int64_t from, int64_t to, double now, double bytes);
  // Not before `until[rank]`.
  void Await(const std::vector<double>& until);
  // What PassKeys sends at a step, and when each rank has what it gets.
  std::vector<double> SendShards(const std::vector<KvRoute>& routes, int step,
                                 const Keys& keys);
  std::vector<double> SendSums(const std::vector<KvRoute>& routes, int step,
                               const Keys& keys);
  // The rank `place` steps from where a pass begins.
  int64_t At(int64_t place, bool forward) const {
    return forward ? place : ranks() - 1 - place;
  }

  const Network& network_;
  std::vector<double> now_;
  std::vector<double> busy_;
  std::vector<double> link_free_;  // when what a rank sent has left it
};

}  // namespace longspan
