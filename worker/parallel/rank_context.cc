#include "worker/parallel/rank_context.h"

namespace longspan::worker {

TransferCounters RankContext::counters() const {
  TransferCounters sum;
  if (group != nullptr) sum = group->counters();
  if (replicas == nullptr) return sum;
  for (const auto& [tag, counts] : replicas->counters()) {
    const auto [entry, added] = sum.try_emplace(tag, counts);
    if (added) continue;
    TransferCounts& to = entry->second;
    to.launches += counts.launches;
    to.bytes_sent += counts.bytes_sent;
    to.bytes_received += counts.bytes_received;
    if (!counts.exposed_time) to.exposed_time.reset();
    if (to.exposed_time) *to.exposed_time += *counts.exposed_time;
  }
  return sum;
}

}  // namespace longspan::worker
