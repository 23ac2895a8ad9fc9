// Cosines and sines of the rotary embedding for one token after another.
//
// The angle of pair i at position p is p * base^(-2i/D), in double. For
// consecutive positions the table is turned by one step instead of being
// computed anew; it restarts from the exact values at every multiple of
// kRestart, so that an entry is a function of its position alone, wherever a
// range of tokens begins.
#pragma once

#include <cstdint>

namespace longspan::kernels {

class RotaryAngles {
 public:
  static constexpr int64_t kMaxPairs = 512;
  static constexpr int64_t kRestart = 64;

  // 0 < pairs <= kMaxPairs.
  RotaryAngles(int64_t pairs, double base);

  void MoveTo(int64_t position);

  const double* cosines() const { return cosines_; }
  const double* sines() const { return sines_; }

 private:
  void Turn();

  const int64_t pairs_;
  int64_t position_ = -1;
  double frequencies_[kMaxPairs];
  double step_cosines_[kMaxPairs];
  double step_sines_[kMaxPairs];
  double cosines_[kMaxPairs];
  double sines_[kMaxPairs];
};

}  // namespace longspan::kernels
