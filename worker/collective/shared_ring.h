// A byte stream from one process to another through shared memory.
//
// One writer, one reader. Positions count bytes since the beginning, so
// written - read is what waits. Internal to shared_lanes.
#pragma once

#include <atomic>
#include <cstdint>

namespace longspan::worker {

// A few rings fit in the second-level cache of a core. Longer messages stream.
inline constexpr int64_t kRingBytes = int64_t{256} << 10;

// Lies in shared memory, zeroed. The two positions are on cache lines of
// their own, because each is written by one side only.
struct SharedRing {
  alignas(64) std::atomic<uint64_t> written;
  alignas(64) std::atomic<uint64_t> read;
  alignas(64) char data[kRingBytes];
};

// Move as many bytes as there is room, or as there are; return how many.
int64_t WriteToRing(SharedRing* ring, const void* from, int64_t bytes);
int64_t ReadFromRing(SharedRing* ring, void* to, int64_t bytes);

inline int64_t ReadableBytes(const SharedRing& ring) {
  return static_cast<int64_t>(ring.written.load() - ring.read.load());
}

}  // namespace longspan::worker
