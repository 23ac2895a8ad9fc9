// Every method at every length and number of ranks of a grid, and who wins
// where.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/simulate/simulation.h"

namespace longspan {

struct SweepRequest {
  ModelSpec model;
  SimulationShape shape;  // tokens and ranks are of the grid
  Network network;
  ComputeModel compute;
  std::vector<ExchangeMethod> methods;
  std::vector<int64_t> tokens;      // ascending
  std::vector<int> ranks;           // ascending
  int64_t device_memory_bytes = 0;  // of a rank; 0: unlimited
};

struct SweepEntry {
  ExchangeMethod method = ExchangeMethod::kLasp2;
  absl::Status refusal;  // not OK: why there is no cost
  MethodCost cost;
  bool fits = true;  // in the device's memory
};

struct SweepPoint {
  int64_t tokens = 0;
  int ranks = 0;
  std::vector<SweepEntry> entries;  // by method, as asked for

  // The fastest that fits; null: none does.
  const SweepEntry* Fastest() const;
};

// Of one point and method.
SweepEntry CostAt(const SweepRequest& request, int64_t tokens, int ranks,
                  ExchangeMethod method);

// By ranks, then by tokens.
std::vector<SweepPoint> RunSweep(const SweepRequest& request);

// Neighbouring lengths at one number of ranks with one winner.
struct WinnerRegion {
  int ranks = 0;
  int64_t first_tokens = 0;
  int64_t last_tokens = 0;
  const SweepEntry* winner = nullptr;  // at last_tokens; null: nothing fits
};
std::vector<WinnerRegion> WinnerRegions(const std::vector<SweepPoint>& points);

// The shortest sequence of the grid's span from which on `one` is at most as
// costly as `other`, to a token; 0: none.
enum class CostKind { kSeconds, kBytes };
int64_t Crossover(const SweepRequest& request, int ranks, ExchangeMethod one,
                  ExchangeMethod other, CostKind kind);

}  // namespace longspan
