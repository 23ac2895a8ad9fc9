// Where a training run stands, besides its tensors, and how that is written
// into a manifest: numbers as decimal text that reads back bit by bit.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace longspan::worker {

struct TrainPosition {
  int64_t step = 0;  // steps done, skipped ones included
  int64_t updates = 0;
  int64_t skipped = 0;
  int64_t tokens = 0;
  double seconds = 0.0;  // of training, over all attempts
  double loss = 0.0;     // of the newest step
};

// The entries of Manifest::state; the step itself is Manifest::step.
std::map<std::string, std::string> PositionToState(
    const TrainPosition& position);

// kDataLoss names the entry that is missing or no number.
absl::StatusOr<TrainPosition> PositionFromState(
    int64_t step, const std::map<std::string, std::string>& state);

}  // namespace longspan::worker
