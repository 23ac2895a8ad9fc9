// How an AllReduce moves its bytes: pure arithmetic, the same on every rank
// and in every kind of group.
//
//   whole   every rank sends its whole buffer to all others and adds up:
//           one round; (size - 1) * bytes sent per rank;
//           scratch (size - 1) * bytes.
//   split   ReduceScatter of size parts, then AllGather of the sums:
//           two rounds; 2 * (size - 1) / size * bytes sent per rank;
//           scratch (size - 1) * part bytes.
//
// With two ranks both send the same bytes, so the one round always wins.
#pragma once

#include <cstdint>

namespace longspan::worker {

// Up to here latency outweighs the bytes that a split saves.
inline constexpr int64_t kWholeAllReduceBytes = 64 << 10;

inline bool AllReducesWhole(int64_t bytes, int size) {
  return size <= 2 || bytes <= kWholeAllReduceBytes;
}

// Elements [begin, end) of `count` that rank `rank` adds in a split reduction:
// equal parts, the first count % size ones longer by one.
struct PartRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

inline PartRange PartOfRank(int64_t count, int rank, int size) {
  const int64_t base = count / size;
  const int64_t longer = count % size;
  const int64_t begin = rank * base + (rank < longer ? rank : longer);
  return {begin, begin + base + (rank < longer ? 1 : 0)};
}

// Payload bytes that `rank` sends, and receives, in one AllReduce.
inline int64_t AllReduceBytesSent(int64_t count, int64_t element_bytes,
                                  int rank, int size) {
  const int64_t bytes = count * element_bytes;
  if (AllReducesWhole(bytes, size)) return (size - 1) * bytes;
  const int64_t own = PartOfRank(count, rank, size).size() * element_bytes;
  return (bytes - own) + (size - 1) * own;
}

}  // namespace longspan::worker
