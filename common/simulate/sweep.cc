#include "common/simulate/sweep.h"

#include <algorithm>

namespace longspan {
namespace {

const SweepEntry* Faster(const SweepEntry* best, const SweepEntry& entry) {
  if (!entry.refusal.ok() || !entry.fits) return best;
  if (best == nullptr || entry.cost.total_s < best->cost.total_s) {
    return &entry;
  }
  return best;
}

bool SameWinner(const SweepEntry* a, const SweepEntry* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->method == b->method;
}

double Quantity(const MethodCost& cost, CostKind kind) {
  if (kind == CostKind::kSeconds) return cost.total_s;
  return static_cast<double>(cost.forward_bytes + cost.backward_bytes);
}

}  // namespace

SweepEntry CostAt(const SweepRequest& request, int64_t tokens, int ranks,
                  ExchangeMethod method) {
  SimulationShape shape = request.shape;
  shape.tokens = tokens;
  shape.ranks = ranks;
  SweepEntry entry;
  entry.method = method;
  absl::StatusOr<MethodCost> cost =
      Simulate(request.model, shape, request.network, request.compute, method);
  entry.refusal = cost.status();
  if (!cost.ok()) return entry;
  entry.cost = *cost;
  entry.fits = request.device_memory_bytes == 0 ||
               cost->memory_bytes <= request.device_memory_bytes;
  return entry;
}

const SweepEntry* SweepPoint::Fastest() const {
  const SweepEntry* best = nullptr;
  for (const SweepEntry& entry : entries) best = Faster(best, entry);
  return best;
}

std::vector<SweepPoint> RunSweep(const SweepRequest& request) {
  std::vector<SweepPoint> points;
  for (int ranks : request.ranks) {
    for (int64_t tokens : request.tokens) {
      SweepPoint point{tokens, ranks, {}};
      for (ExchangeMethod method : request.methods) {
        point.entries.push_back(CostAt(request, tokens, ranks, method));
      }
      points.push_back(std::move(point));
    }
  }
  return points;
}

std::vector<WinnerRegion> WinnerRegions(const std::vector<SweepPoint>& points) {
  std::vector<WinnerRegion> regions;
  for (const SweepPoint& point : points) {
    const SweepEntry* winner = point.Fastest();
    const bool goes_on = !regions.empty() &&
                         regions.back().ranks == point.ranks &&
                         SameWinner(regions.back().winner, winner);
    if (!goes_on) {
      regions.push_back({point.ranks, point.tokens, point.tokens, winner});
    }
    regions.back().last_tokens = point.tokens;
    regions.back().winner = winner;
  }
  return regions;
}

int64_t Crossover(const SweepRequest& request, int ranks, ExchangeMethod one,
                  ExchangeMethod other, CostKind kind) {
  const auto wins = [&](int64_t tokens) {
    const SweepEntry a = CostAt(request, tokens, ranks, one);
    const SweepEntry b = CostAt(request, tokens, ranks, other);
    return a.refusal.ok() && b.refusal.ok() &&
           Quantity(a.cost, kind) <= Quantity(b.cost, kind);
  };
  int64_t low = std::max<int64_t>(request.tokens.front(), ranks);
  int64_t high = request.tokens.back();
  if (low > high || !wins(high)) return 0;
  if (wins(low)) return low;
  while (low + 1 < high) {
    const int64_t middle = low + (high - low) / 2;
    (wins(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace longspan
