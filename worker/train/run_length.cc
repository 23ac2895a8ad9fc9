#include "worker/train/run_length.h"

#include <algorithm>

namespace longspan::worker {

double RunLength::Fraction(int64_t done, double seconds) const {
  double fraction = 0.0;
  if (steps > 0) {
    fraction = static_cast<double>(done) / static_cast<double>(steps);
  }
  if (max_duration > absl::ZeroDuration()) {
    fraction =
        std::max(fraction, seconds / absl::ToDoubleSeconds(max_duration));
  }
  return std::min(fraction, 1.0);
}

bool RunLength::Ended(int64_t done, double seconds, double ahead) const {
  if (steps > 0 && done >= steps) return true;
  return max_duration > absl::ZeroDuration() &&
         seconds + ahead > absl::ToDoubleSeconds(max_duration);
}

}  // namespace longspan::worker
