#include "worker/collective/rank_clock.h"

#include <time.h>

namespace longspan::worker {

absl::Duration WallRankClock::Stop() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

absl::Duration WallRankClock::GoOn(absl::Duration time) {
  const timespec until = absl::ToTimespec(time);
  for (;;) {
    const absl::Duration now = Stop();
    if (now >= time) return now;
    // A signal may end it early.
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }
}

}  // namespace longspan::worker
