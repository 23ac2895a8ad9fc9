#include "worker/train/learning_rate.h"

#include <algorithm>
#include <cmath>

namespace longspan::worker {
namespace {

constexpr double kPi = 3.14159265358979323846;

double WsdFactor(const LearningRateSchedule& schedule, double fraction) {
  const double begin = 1.0 - schedule.decay_ratio;
  if (fraction <= begin || schedule.decay_ratio <= 0.0) return 1.0;
  const double x = (fraction - begin) / schedule.decay_ratio;
  return 1.0 - (1.0 - schedule.min_ratio) * std::sqrt(x);
}

double DecayFactor(const LearningRateSchedule& schedule, double fraction) {
  const double fall = 1.0 - schedule.min_ratio;
  switch (schedule.decay) {
    case Decay::kConstant:
      return 1.0;
    case Decay::kCosine:
      return schedule.min_ratio + fall * 0.5 * (1.0 + std::cos(kPi * fraction));
    case Decay::kLinear:
      return 1.0 - fall * fraction;
    case Decay::kWsd:
      return WsdFactor(schedule, fraction);
  }
  return 1.0;
}

}  // namespace

double LearningRate(const LearningRateSchedule& schedule, int64_t step,
                    double fraction) {
  double warmup = 1.0;
  if (step < schedule.warmup_steps) {
    warmup = static_cast<double>(step + 1) /
             static_cast<double>(schedule.warmup_steps);
  }
  return schedule.peak * warmup *
         DecayFactor(schedule, std::clamp(fraction, 0.0, 1.0));
}

}  // namespace longspan::worker
