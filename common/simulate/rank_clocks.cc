#include "common/simulate/rank_clocks.h"

#include <algorithm>
#include <utility>

namespace longspan {

void RankClocks::Compute(double seconds) {
  Compute([seconds](int64_t) { return seconds; });
}

void RankClocks::Compute(const std::function<double(int64_t rank)>& seconds) {
  for (int64_t rank = 0; rank < ranks(); ++rank) Work(rank, seconds(rank));
}

void RankClocks::Collective(double seconds, double window) {
  Collective(seconds, [window](int64_t) { return window; });
}

void RankClocks::Collective(double seconds,
                            const std::function<double(int64_t rank)>& window) {
  const double end = last() + seconds;
  for (int64_t rank = 0; rank < ranks(); ++rank) {
    Work(rank, window(rank));
    now_[rank] = std::max(now_[rank], end);
  }
}

double RankClocks::Send(int64_t from, int64_t to, double now, double bytes) {
  const NetworkLevel& level = network_.levels[LevelBetween(network_, from, to)];
  link_free_[from] =
      std::max(link_free_[from], now) + FlowSeconds(level, bytes);
  return link_free_[from] + level.latency_s;
}

void RankClocks::PassOn(const Chain& chain) {
  const double bytes = chain.bytes / static_cast<double>(chain.blocks);
  std::vector<double> arrivals;
  for (int64_t place = 0; place < ranks(); ++place) {
    const int64_t rank = At(place, chain.forward);
    if (!chain.waits_first) Work(rank, chain.window);
    std::vector<double> sent;
    for (int64_t block = 0; block < chain.blocks; ++block) {
      if (place > 0) now_[rank] = std::max(now_[rank], arrivals[block]);
      if (chain.waits_first && block == 0) Work(rank, chain.before_send);
      if (place + 1 == ranks()) continue;
      const int64_t next = At(place + 1, chain.forward);
      sent.push_back(Send(rank, next, now_[rank], bytes));
    }
    arrivals = std::move(sent);
    if (chain.waits_first) Work(rank, chain.window);
  }
}

void RankClocks::PassRows(const Rows& rows) {
  std::vector<double> arrivals;
  for (int64_t place = 0; place < ranks(); ++place) {
    const int64_t rank = At(place, rows.forward);
    std::vector<double> sent;
    for (int64_t step = 0; step <= place; ++step) {
      if (step > 0) now_[rank] = std::max(now_[rank], arrivals[step - 1]);
      if (place + 1 < ranks()) {
        const int64_t next = At(place + 1, rows.forward);
        sent.push_back(Send(rank, next, now_[rank], rows.bytes));
      }
      Work(rank, step == 0 ? rows.window : rows.work);
    }
    arrivals = std::move(sent);
  }
}

void RankClocks::Await(const std::vector<double>& until) {
  for (int64_t rank = 0; rank < ranks(); ++rank) {
    now_[rank] = std::max(now_[rank], until[rank]);
  }
}

std::vector<double> RankClocks::SendShards(const std::vector<KvRoute>& routes,
                                           int step, const Keys& keys) {
  std::vector<double> arrivals(ranks(), 0.0);
  for (int64_t rank = step; rank < ranks(); ++rank) {
    const KvRoute& route = routes[rank];
    if (!route.Sends(step)) continue;
    arrivals[route.next()] =
        Send(rank, route.next(), now_[rank], keys.bytes(route.ShardAt(step)));
  }
  return arrivals;
}

std::vector<double> RankClocks::SendSums(const std::vector<KvRoute>& routes,
                                         int step, const Keys& keys) {
  std::vector<double> arrivals(ranks(), 0.0);
  if (!keys.sum_bytes) return arrivals;
  for (int64_t rank = step; rank < ranks(); ++rank) {
    const KvRoute& route = routes[rank];
    const int shard = route.ShardAt(step);
    const bool home = route.TurnsHome(step);
    if (!home && !route.Sends(step)) continue;
    const int to = home ? shard : route.next();
    arrivals[to] = std::max(arrivals[to],
                            Send(rank, to, now_[rank], keys.sum_bytes(shard)));
  }
  return arrivals;
}

void RankClocks::PassKeys(const KvRoute& route, const Keys& keys) {
  std::vector<KvRoute> routes;
  for (int rank = 0; rank < ranks(); ++rank) {
    routes.push_back(route.OfRank(rank));
  }
  std::vector<double> sums(ranks(), 0.0);
  for (int step = 0; step <= route.steps(); ++step) {
    const std::vector<double> shards = SendShards(routes, step, keys);
    if (!keys.overlap) Await(shards);
    // Only shards of ranks before it get to a rank.
    for (int rank = step; rank < ranks(); ++rank) {
      if (!routes[rank].Holds(step)) continue;
      Work(rank, keys.work(rank, routes[rank].ShardAt(step)));
    }
    Await(sums);
    Await(shards);
    sums = SendSums(routes, step, keys);
  }
  Await(sums);
}

void RankClocks::Shift(double bytes, bool forward) {
  const std::vector<double> begun = now_;
  for (int64_t place = 1; place < ranks(); ++place) {
    const int64_t rank = At(place, forward);
    const int64_t from = At(place - 1, forward);
    now_[rank] = std::max(now_[rank], Send(from, rank, begun[from], bytes));
  }
}

void RankClocks::Scan(double bytes, bool forward, double window) {
  for (int64_t distance = 1; distance < ranks(); distance *= 2) {
    const std::vector<double> begun = now_;
    if (distance == 1) Compute(window);
    for (int64_t place = distance; place < ranks(); ++place) {
      const int64_t rank = At(place, forward);
      const int64_t from = At(place - distance, forward);
      now_[rank] = std::max(now_[rank], Send(from, rank, begun[from], bytes));
    }
  }
}

double RankClocks::last() const {
  return *std::max_element(now_.begin(), now_.end());
}

double RankClocks::busiest() const {
  return *std::max_element(busy_.begin(), busy_.end());
}

}  // namespace longspan
