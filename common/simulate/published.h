// What the LASP-2 paper (arXiv 2502.07563) counts and prints, for comparison:
// its cost model, and where its tables contradict each other.
//
// Its model, per layer and iteration (forward and backward), in elements, with
// a state of B H d_h^2 and the word step for what the next one waits for:
//
//     lasp2   2 steps          2 B H d_h^2
//     lasp1   2 (W - 1) steps  2 (W - 1) B H d_h^2
//
// The comparison of the LASP-1 paper (arXiv 2404.02882), forward, per layer, as
// recalled in our notes and not read again: LASP B d^2 / H, Ring 2 B N d / H,
// Ulysses 4 B N d / W, Megatron-SP 2 B N d + 4 B N d / W.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/simulate/simulation.h"

namespace longspan {

// Of all layers, forward and backward.
struct PublishedCost {
  int64_t steps = 0;
  int64_t bytes = 0;
  double seconds = 0;  // steps (latency + bytes of one / bandwidth) + compute
  bool recalled = false;
};

// As the papers count a model of linear layers alone, over the network's
// outermost level that the ranks reach. kInvalidArgument for methods and models
// that they do not have.
absl::StatusOr<PublishedCost> PublishedCostOf(const ModelSpec& model,
                                              const SimulationShape& shape,
                                              const Network& network,
                                              const ComputeModel& compute,
                                              ExchangeMethod method);

// One row of table 6: pure Linear-Llama3-1B, basic linear attention, batch 1;
// gigabytes per GPU, 0: out of memory.
struct PublishedRun {
  int64_t tokens = 0;
  int ranks = 0;
  double tokens_per_s = 0;
  double gigabytes = 0;
};
const std::vector<PublishedRun>& PublishedTable6();

// The contradictions, a sentence each with its numbers and sources.
std::vector<std::string> PublishedContradictions();

}  // namespace longspan
