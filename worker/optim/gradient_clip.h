// What the global gradient norm says about a step: scale the gradients down,
// leave them, or skip the step. Pure.
#pragma once

namespace longspan::worker {

struct ClipDecision {
  double gradient_norm = 0.0;
  double clip_factor = 1.0;  // <= 1
  bool skip = false;         // the norm is not finite
};

// `sum_of_squares` over all gradients of all ranks; `clip_norm` 0: never clip.
ClipDecision DecideClip(double sum_of_squares, double clip_norm);

}  // namespace longspan::worker
