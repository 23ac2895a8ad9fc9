// The memory that the ranks of one host share: a ring for every ordered pair
// and a doorbell for every rank.
//
// It is an anonymous file (memfd) that rank 0 makes and the others open through
// /proc, so nothing is left behind however the processes end, and only
// processes of the same user can reach it. Internal to shared_lanes.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/base/unique_fd.h"
#include "worker/collective/shared_ring.h"

namespace longspan::worker {

// Rung to wake a rank that sleeps: its thread waits on `rings` as a futex.
struct Doorbell {
  alignas(64) std::atomic<uint32_t> rings;
  std::atomic<uint32_t> sleeping;
};

class SharedSegment {
 public:
  using Nonce = std::array<unsigned char, 32>;

  static absl::StatusOr<std::unique_ptr<SharedSegment>> Create(
      int size, const Nonce& nonce);
  // NotFound if that descriptor of that process is not the segment that
  // carries `nonce`.
  static absl::StatusOr<std::unique_ptr<SharedSegment>> Open(int size,
                                                             const Nonce& nonce,
                                                             pid_t pid, int fd);
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  int fd() const { return fd_.get(); }
  Doorbell* doorbell(int rank) const;
  SharedRing* ring(int from, int to) const;

  // Wakes the rank if it sleeps.
  void Ring(int rank) const;
  // Sleeps until rung, at most `milliseconds`, unless `rings` has changed
  // from `seen` already.
  void Sleep(int rank, uint32_t seen, int milliseconds) const;

  // Maps the pages of the rank's rings, so that later growth of the process
  // is not theirs.
  void Touch(int rank) const;

 private:
  SharedSegment(int size, UniqueFd fd, char* memory)
      : size_(size), fd_(std::move(fd)), memory_(memory) {}

  static absl::StatusOr<std::unique_ptr<SharedSegment>> Map(int size,
                                                            UniqueFd fd);

  const int size_;
  const UniqueFd fd_;
  char* const memory_;
};

}  // namespace longspan::worker
