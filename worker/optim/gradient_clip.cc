#include "worker/optim/gradient_clip.h"

#include <cmath>

namespace longspan::worker {

ClipDecision DecideClip(double sum_of_squares, double clip_norm) {
  ClipDecision decision;
  decision.gradient_norm = std::sqrt(sum_of_squares);
  decision.skip = !std::isfinite(decision.gradient_norm);
  if (!decision.skip && clip_norm > 0.0 && decision.gradient_norm > clip_norm) {
    decision.clip_factor = clip_norm / decision.gradient_norm;
  }
  return decision;
}

}  // namespace longspan::worker
