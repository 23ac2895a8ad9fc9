// The time that a rank would have on a processor of its own, on a machine with
// fewer processors than ranks.
//
// A rank's clock runs while the rank works, by the processor time of its
// thread, and jumps over what it waits for; what the real transport costs the
// processor is left out. Ranks take turns: one works at a time, so that none
// waits for a processor or shares a cache while its clock runs. (By the wall
// clock, four ranks on two cores would slow the methods in which all compute at
// once, and not those in which they wait for each other.)
//
// A turn ends with Stop(), so a thread that holds one must not wait for other
// ranks in any other way.
#pragma once

#include <string>

#include "worker/collective/rank_clock.h"

namespace longspan::bench {

class TurnClock final : public worker::RankClock {
 public:
  // All ranks name the same file, which is made if it is not there.
  explicit TurnClock(const std::string& turn_file);
  ~TurnClock() override;
  TurnClock(const TurnClock&) = delete;
  TurnClock& operator=(const TurnClock&) = delete;

  absl::Duration Stop() override;
  absl::Duration GoOn(absl::Duration time) override;

 private:
  const int file_;
  absl::Duration time_;       // when the turn began
  absl::Duration processor_;  // the thread's time then
};

}  // namespace longspan::bench
