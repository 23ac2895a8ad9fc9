// The time of one rank, for transports that are slower than the real one
// (emulated_network_group.h). All ranks of a group count from one origin.
//
// One thread: that of the rank.
#pragma once

#include "absl/time/time.h"

namespace longspan::worker {

class RankClock {
 public:
  virtual ~RankClock() = default;

  // The rank stops working; returns its time.
  virtual absl::Duration Stop() = 0;
  // It works again, not before `time`. Returns its time then: later than `time`
  // where that had passed and cannot be turned back.
  virtual absl::Duration GoOn(absl::Duration time) = 0;
};

// The machine's monotonic clock, which its processes share.
class WallRankClock final : public RankClock {
 public:
  absl::Duration Stop() override;
  absl::Duration GoOn(absl::Duration time) override;  // sleeps
};

}  // namespace longspan::worker
