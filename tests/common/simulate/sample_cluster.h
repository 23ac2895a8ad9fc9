// What the tests of methods simulate on: a rank computes 1e14 operations per
// second; a message takes 10 us and 1e10 bytes per second.
#pragma once

#include "common/simulate/network.h"
#include "common/simulate/simulation.h"

namespace longspan {

inline const Network kSampleNetwork = {{{"n", 0, 1e-5, 1e10, 0}},
                                       CollectiveAlgorithm::kDirect};
inline constexpr ComputeModel kSampleCompute = {1e14, 0};

inline SimulationShape ShapeOf(int64_t tokens, int ranks) {
  SimulationShape shape;
  shape.tokens = tokens;
  shape.ranks = ranks;
  return shape;
}

}  // namespace longspan
