// The time of one step: all ranks' clocks through the layers and back.
//
// Pure.
#pragma once

#include "absl/types/span.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/token_range.h"
#include "common/simulate/simulation.h"

namespace longspan {

struct StepTime {
  double compute_s = 0;
  double total_s = 0;
};

// Of what Simulate() has checked. `parts` are those of `shape.layout`, which is
// known.
StepTime TimeStep(const ModelSpec& model, const SimulationShape& shape,
                  absl::Span<const TokenRange> parts, const Network& network,
                  const ComputeModel& compute, ExchangeMethod method);

}  // namespace longspan
