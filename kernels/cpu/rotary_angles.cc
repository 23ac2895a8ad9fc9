#include "kernels/cpu/rotary_angles.h"

#include <cmath>

namespace longspan::kernels {

RotaryAngles::RotaryAngles(int64_t pairs, double base) : pairs_(pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    frequencies_[i] = std::pow(base, -1.0 * i / pairs);
    step_cosines_[i] = std::cos(frequencies_[i]);
    step_sines_[i] = std::sin(frequencies_[i]);
  }
}

void RotaryAngles::MoveTo(int64_t position) {
  const int64_t phase = (position % kRestart + kRestart) % kRestart;
  if (phase != 0 && position == position_ + 1) {
    Turn();
  } else if (position != position_ || position == -1) {
    for (int64_t i = 0; i < pairs_; ++i) {
      const double angle =
          static_cast<double>(position - phase) * frequencies_[i];
      cosines_[i] = std::cos(angle);
      sines_[i] = std::sin(angle);
    }
    for (int64_t turns = 0; turns < phase; ++turns) Turn();
  }
  position_ = position;
}

void RotaryAngles::Turn() {
  for (int64_t i = 0; i < pairs_; ++i) {
    const double cosine = cosines_[i];
    const double sine = sines_[i];
    cosines_[i] = cosine * step_cosines_[i] - sine * step_sines_[i];
    sines_[i] = sine * step_cosines_[i] + cosine * step_sines_[i];
  }
}

}  // namespace longspan::kernels
