// The learning rate of each step: a linear warm-up times a decay.
//
//     lr = peak * min(1, (step + 1) / warmup_steps) * decay(fraction)
//
// `fraction` in [0, 1] is the share of the run that lay behind when the step
// began: steps of steps, or seconds of seconds for a run that is bounded by
// time. Ranks agree on it, so they agree on the rate. With r = min_ratio:
//
//     constant  1
//     cosine    r + (1 - r) (1 + cos(pi fraction)) / 2
//     linear    1 - (1 - r) fraction
//     wsd       1 until 1 - decay_ratio, then 1 - (1 - r) sqrt(x), where x in
//               [0, 1] is the share of the decaying part that lies behind
//               (arXiv 2405.18392)
// Pure.
#pragma once

#include <cstdint>

namespace longspan::worker {

enum class Decay { kConstant, kCosine, kLinear, kWsd };

struct LearningRateSchedule {
  double peak = 1e-3;
  int64_t warmup_steps = 0;
  Decay decay = Decay::kCosine;
  double min_ratio = 0.1;
  double decay_ratio = 0.2;  // kWsd
};

// `step` counts from 0.
double LearningRate(const LearningRateSchedule& schedule, int64_t step,
                    double fraction);

}  // namespace longspan::worker
