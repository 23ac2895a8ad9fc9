#include "worker/collective/shared_ring.h"

#include <algorithm>
#include <cstring>

namespace longspan::worker {

static_assert(std::atomic<uint64_t>::is_always_lock_free,
              "processes share the positions");

int64_t WriteToRing(SharedRing* ring, const void* from, int64_t bytes) {
  const uint64_t written = ring->written.load(std::memory_order_relaxed);
  const int64_t room =
      kRingBytes - static_cast<int64_t>(written - ring->read.load());
  const int64_t count = std::min(bytes, room);
  if (count == 0) return 0;
  const auto at = static_cast<int64_t>(written % kRingBytes);
  const int64_t first = std::min(count, kRingBytes - at);
  std::memcpy(ring->data + at, from, first);
  std::memcpy(ring->data, static_cast<const char*>(from) + first,
              count - first);
  ring->written.store(written + count);
  return count;
}

int64_t ReadFromRing(SharedRing* ring, void* to, int64_t bytes) {
  const uint64_t read = ring->read.load(std::memory_order_relaxed);
  const int64_t count =
      std::min(bytes, static_cast<int64_t>(ring->written.load() - read));
  if (count == 0) return 0;
  const auto at = static_cast<int64_t>(read % kRingBytes);
  const int64_t first = std::min(count, kRingBytes - at);
  std::memcpy(to, ring->data + at, first);
  std::memcpy(static_cast<char*>(to) + first, ring->data, count - first);
  ring->read.store(read + count);
  return count;
}

}  // namespace longspan::worker
