// Time as a dependency. Everything that waits, expires or measures takes a
// Clock, so that tests need no sleeps (tests/support/fake_clock.h).
//
// Thread-safe. The caller owns the clock and keeps it alive.
#pragma once

#include "absl/time/time.h"

namespace longspan {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time: for what people and other machines read. May jump.
  virtual absl::Time Now() const = 0;

  // Time since an arbitrary origin; never goes back. For durations, leases
  // and deadlines.
  virtual absl::Duration Monotonic() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override;
  absl::Duration Monotonic() const override;

  // A shared instance that lives as long as the process.
  static const SystemClock& Get();
};

}  // namespace longspan
