// The compute model of a machine from two measured steps, and the prediction
// beside every measured one.
//
// A step of the shorter and one of the longer sequence, of the same method,
// ranks and network, give two equations,
//
//     t_i = fixed + T(N_i; rate, latency, bandwidth),
//
// of which latency and bandwidth are what the measurement was made with; rate
// and fixed follow. T falls as the rate grows, so the rate is found by
// bisection on t_2 - t_1. Where fixed would be less than 0, it is 0 and the
// rate is the longer step's alone.
//
// Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/simulate/simulation.h"

namespace longspan {

struct MeasuredPoint {
  ExchangeMethod method = ExchangeMethod::kLasp2;
  int ranks = 1;
  int64_t tokens = 0;
  double latency_s = 0;
  double bandwidth = 0;  // bytes per second; 0: unlimited
  double seconds = 0;    // of a step
};

struct PredictedPoint {
  MeasuredPoint measured;
  double seconds = 0;  // predicted
  bool calibrates = false;

  // (predicted - measured) / measured
  double error() const { return seconds / measured.seconds - 1; }
};

struct Calibration {
  ComputeModel compute;
  std::vector<PredictedPoint> points;  // in the order given

  // Of the points that did not calibrate; null: there are none.
  const PredictedPoint* Worst() const;
};

// The lasp2 points with the network and ranks of the first of them calibrate:
// the shortest and the longest. `shape` gives what the
// points do not (batch, element bytes). kInvalidArgument when there are no such
// two points, the longer is not slower, or a point cannot be simulated.
absl::StatusOr<Calibration> Calibrate(const ModelSpec& model,
                                      const SimulationShape& shape,
                                      CollectiveAlgorithm algorithm,
                                      const std::vector<MeasuredPoint>& points);

}  // namespace longspan
