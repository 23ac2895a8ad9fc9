// The clock of a rank that works when a test says so and for as long as it
// says. One thread.
#pragma once

#include "worker/collective/rank_clock.h"

namespace longspan::testing {

class ManualRankClock final : public worker::RankClock {
 public:
  absl::Duration Stop() override { return now_; }
  absl::Duration GoOn(absl::Duration time) override { return now_ = time; }

  void Work(absl::Duration time) { now_ += time; }
  absl::Duration now() const { return now_; }

 private:
  absl::Duration now_;
};

}  // namespace longspan::testing
