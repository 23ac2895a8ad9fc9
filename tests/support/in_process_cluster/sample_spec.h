// Small, valid specs.
#pragma once

#include "longspan/v1/job.pb.h"

namespace longspan::testing {

// A tiny train job on `ranks` CPU ranks.
v1::JobSpec TrainSpec(int ranks = 1);

// Generates `tokens` tokens from the model at models://m.
v1::JobSpec GenerateSpec(int ranks = 1, int tokens = 4);

}  // namespace longspan::testing
