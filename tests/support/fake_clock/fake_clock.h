// A clock that tests move by hand. Thread-safe.
#pragma once

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace longspan::testing {

class FakeClock final : public Clock {
 public:
  absl::Time Now() const override {
    MutexLock lock(mu_);
    return wall_;
  }

  absl::Duration Monotonic() const override {
    MutexLock lock(mu_);
    return monotonic_;
  }

  void Advance(absl::Duration by) {
    MutexLock lock(mu_);
    wall_ += by;
    monotonic_ += by;
  }

  // Only the wall clock jumps, as when it is set.
  void JumpWall(absl::Duration by) {
    MutexLock lock(mu_);
    wall_ += by;
  }

 private:
  mutable Mutex mu_;
  absl::Time wall_ GUARDED_BY(mu_) = absl::FromUnixSeconds(1800000000);
  absl::Duration monotonic_ GUARDED_BY(mu_) = absl::Seconds(1000);
};

}  // namespace longspan::testing
