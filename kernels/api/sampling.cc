#include "kernels/api/sampling.h"

#include <cmath>

namespace longspan::kernels {
namespace {

constexpr double kDistanceUnit = 1.0 / (1 << 26);
constexpr double kLargestWeight = 0x1p43;

}  // namespace

double SamplingFactor(double temperature) {
  return 1.0 / (temperature * kDistanceUnit);
}

uint32_t SamplingDistance(double max, double logit, double factor) {
  if (logit == max) return 0;
  const double distance = (max - logit) * factor;
  return distance < kFarthestDistance ? static_cast<uint32_t>(distance)
                                      : kFarthestDistance;
}

uint64_t SamplingWeight(uint32_t distance) {
  if (distance == kFarthestDistance) return 0;
  return static_cast<uint64_t>(kLargestWeight *
                               std::exp(-kDistanceUnit * distance));
}

}  // namespace longspan::kernels
