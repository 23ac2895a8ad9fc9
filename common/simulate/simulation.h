// One step of a model over W ranks: what every method sends, holds and takes,
// before anything runs.
//
// Bytes and memory are the planner's (communication_plan.h and memory_plan.h of
// common/model_spec, and the plans of exchanges that those name), of the
// busiest rank.
// Time is a walk of all ranks' clocks (rank_clocks.h) through the layers,
// forward and backward, with compute at one rate of useful operations per
// second (common/model_spec/model_cost.h; backward twice forward) and transfers
// over the network (network.h). Equations and assumptions: docs/simulate.md.
//
// Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/token_layout.h"
#include "common/simulate/exchange_method.h"
#include "common/simulate/network.h"
#include "kernels/cost/backend_kind.h"

namespace longspan {

struct ComputeModel {
  double flops_per_s = 0;  // of one rank
  double fixed_s = 0;      // of every step, whatever its length
};

struct SimulationShape {
  int64_t tokens = 0;  // of a sequence, over all ranks
  int64_t batch = 1;
  int ranks = 1;
  int64_t element_bytes = 2;
  bool train = true;    // forward and backward; else forward only
  bool overlap = true;  // transfers run beside work that needs none of them
  // Who holds which tokens; nothing: what the planner takes for the method
  // (common/model_spec/layout_choice.h).
  std::optional<TokenLayout> layout = TokenLayout::kContiguous;
  // Softmax layers of the methods that leave it open (SoftmaxOf).
  SoftmaxParallel softmax = SoftmaxParallel::kGather;
  GatherSettings state_gather;  // of lasp2
  kernels::BackendKind backend = kernels::BackendKind::kCuda;
};

struct MethodCost {
  TokenLayout layout = TokenLayout::kContiguous;
  // Of all layers, sent by the busiest rank in a step.
  int64_t forward_bytes = 0;
  int64_t backward_bytes = 0;
  int64_t gradient_bytes = 0;  // of the AllReduce that every method ends with
  int64_t forward_calls = 0;
  int64_t backward_calls = 0;
  // Scratch of the exchange, of one layer; and all a rank holds.
  int64_t buffer_bytes = 0;
  int64_t memory_bytes = 0;
  double compute_s = 0;  // of the busiest rank, the fixed part included
  double exposed_s = 0;  // total - compute
  double total_s = 0;
  double tokens_per_s = 0;
};

// `model` is resolved and valid. kInvalidArgument, in a sentence, for ranks
// that the sequence or the network does not have, for a method without that
// form (CheckMethod), for numbers that are no rates; kUnimplemented for a
// layout or a recurrence that does not go with the method.
absl::StatusOr<MethodCost> Simulate(const ModelSpec& model,
                                    const SimulationShape& shape,
                                    const Network& network,
                                    const ComputeModel& compute,
                                    ExchangeMethod method);

}  // namespace longspan
