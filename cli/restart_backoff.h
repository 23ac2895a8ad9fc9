// How long to wait before a daemon that died is started again. Pure.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace longspan::cli {

// 0.2 s, 0.4 s, ... at most 10 s; a daemon that lived for a minute starts from
// the beginning.
class RestartBackoff {
 public:
  // Called when the daemon died after `lived`.
  absl::Duration OnDeath(absl::Duration lived) {
    if (lived >= kHealthy) next_ = kFirst;
    absl::Duration wait = next_;
    next_ = std::min(next_ * 2, kLongest);
    return wait;
  }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(200);
  static constexpr absl::Duration kLongest = absl::Seconds(10);
  static constexpr absl::Duration kHealthy = absl::Seconds(60);
  absl::Duration next_ = kFirst;
};

}  // namespace longspan::cli
