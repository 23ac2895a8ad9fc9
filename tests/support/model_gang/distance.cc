#include "tests/support/model_gang/distance.h"

#include <algorithm>
#include <cmath>

namespace longspan::testing {

double Scale(const std::vector<double>& values) {
  double scale = 0;
  for (double value : values) scale = std::max(scale, std::abs(value));
  return scale;
}

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || Scale(b) == 0) return HUGE_VAL;
  double distance = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double apart = std::abs(a[i] - b[i]);
    if (!std::isfinite(apart)) return HUGE_VAL;
    distance = std::max(distance, apart);
  }
  return distance / Scale(b);
}

}  // namespace longspan::testing
