// When a training run ends and how far it is: bounded by steps, by time, or by
// whichever comes first. Pure, so that ranks with the same numbers agree.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace longspan::worker {

struct RunLength {
  int64_t steps = 0;            // 0: not bounded by steps
  absl::Duration max_duration;  // zero: not bounded by time

  bool bounded() const {
    return steps > 0 || max_duration > absl::ZeroDuration();
  }

  // Share that lies behind after `done` steps and `seconds` of training,
  // 0..1: of the steps or of the time, whichever is further.
  double Fraction(int64_t done, double seconds) const;

  // Whether to end after `done` steps. `ahead` is how many seconds later one
  // more step would end: the run ends rather than exceed its time.
  bool Ended(int64_t done, double seconds, double ahead) const;
};

}  // namespace longspan::worker
