// The memory that the ranks of a fake communicator share: an anonymous file
// that the maker of the id holds open and the others reach through /proc, so
// that nothing is left behind.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "worker/collective/nccl_abi.h"

namespace longspan::fake_nccl {

inline constexpr int kMaxRanks = 8;
inline constexpr int64_t kRingBytes = 64 << 10;

// Bytes from one rank to another, in order.
struct Ring {
  alignas(64) std::atomic<uint64_t> written;
  alignas(64) std::atomic<uint64_t> read;
  char data[kRingBytes];

  // Move what can be moved; return how much.
  int64_t Write(const char* from, int64_t bytes);
  int64_t Read(char* to, int64_t bytes);
};

enum RankState : int { kAbsent = 0, kJoined = 1, kGone = 2 };

struct Segment {
  std::atomic<uint64_t> nonce;
  std::atomic<int> states[kMaxRanks];  // RankState
  std::atomic<int> pids[kMaxRanks];
  Ring rings[kMaxRanks][kMaxRanks];  // [from][to]

  bool AllJoined(int ranks) const;
  // The rank has left, or its process has ended.
  bool IsGone(int rank) const;
};

// Makes a segment and the id by which others find it. False: no memory.
bool MakeId(worker::NcclUniqueId* id);

// Null if the maker of the id is gone.
std::shared_ptr<Segment> OpenSegment(const worker::NcclUniqueId& id);

}  // namespace longspan::fake_nccl
