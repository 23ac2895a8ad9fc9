#include "common/simulate/calibration.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan {
namespace {

constexpr double kSlowest = 1e3;  // operations per second
constexpr double kFastest = 1e21;

bool SameSetting(const MeasuredPoint& a, const MeasuredPoint& b) {
  return a.method == b.method && a.ranks == b.ranks &&
         a.latency_s == b.latency_s && a.bandwidth == b.bandwidth;
}

// Indices of the points that calibrate.
struct Pair {
  size_t shorter = 0;
  size_t longer = 0;
};

absl::StatusOr<Pair> FindPair(const std::vector<MeasuredPoint>& points) {
  const auto is_lasp2 = [](const MeasuredPoint& point) {
    return point.method == ExchangeMethod::kLasp2;
  };
  const size_t first =
      std::find_if(points.begin(), points.end(), is_lasp2) - points.begin();
  Pair pair = {first, first};
  for (size_t i = first; i < points.size(); ++i) {
    if (!SameSetting(points[i], points[first])) continue;
    if (points[i].tokens < points[pair.shorter].tokens) pair.shorter = i;
    if (points[i].tokens > points[pair.longer].tokens) pair.longer = i;
  }
  if (pair.shorter == pair.longer) {
    return absl::InvalidArgumentError(absl::StrCat(
        "none of the ", points.size(),
        " points has a pair to calibrate with: "
        "measure lasp2 at two lengths, with the same ranks, latency and "
        "bandwidth"));
  }
  const MeasuredPoint& a = points[pair.shorter];
  const MeasuredPoint& b = points[pair.longer];
  if (b.seconds > a.seconds) return pair;
  return absl::InvalidArgumentError(absl::StrCat(
      "lasp2 took ", a.seconds, " s for ", a.tokens, " tokens and ", b.seconds,
      " s for ", b.tokens, ": the longer must be slower; measure longer ones"));
}

class Calibrator {
 public:
  Calibrator(const ModelSpec& model, const SimulationShape& shape,
             CollectiveAlgorithm algorithm)
      : model_(model), shape_(shape), algorithm_(algorithm) {}

  absl::StatusOr<double> Predict(const MeasuredPoint& point,
                                 const ComputeModel& compute) const {
    SimulationShape shape = shape_;
    shape.tokens = point.tokens;
    shape.ranks = point.ranks;
    const Network network = {{{"network", 0, point.latency_s, point.bandwidth}},
                             algorithm_};
    ASSIGN_OR_RETURN(const MethodCost cost,
                     Simulate(model_, shape, network, compute, point.method));
    return cost.total_s;
  }

  // The rate at which the difference of both, or without a shorter point the
  // longer one itself, takes `seconds`.
  absl::StatusOr<double> RateFor(const MeasuredPoint* shorter,
                                 const MeasuredPoint& longer,
                                 double seconds) const {
    double low = kSlowest, high = kFastest;
    for (int i = 0; i < 80; ++i) {
      const double rate = std::sqrt(low * high);
      ASSIGN_OR_RETURN(double predicted, Predict(longer, {rate, 0}));
      if (shorter != nullptr) {
        ASSIGN_OR_RETURN(const double less, Predict(*shorter, {rate, 0}));
        predicted -= less;
      }
      (predicted > seconds ? low : high) = rate;
    }
    return std::sqrt(low * high);
  }

  absl::StatusOr<ComputeModel> Solve(const MeasuredPoint& shorter,
                                     const MeasuredPoint& longer) const {
    ComputeModel compute;
    ASSIGN_OR_RETURN(
        compute.flops_per_s,
        RateFor(&shorter, longer, longer.seconds - shorter.seconds));
    ASSIGN_OR_RETURN(const double rest, Predict(shorter, compute));
    compute.fixed_s = shorter.seconds - rest;
    if (compute.fixed_s >= 0) return compute;
    compute.fixed_s = 0;
    ASSIGN_OR_RETURN(compute.flops_per_s,
                     RateFor(nullptr, longer, longer.seconds));
    return compute;
  }

 private:
  const ModelSpec& model_;
  const SimulationShape& shape_;
  const CollectiveAlgorithm algorithm_;
};

absl::Status CheckPoint(const MeasuredPoint& point) {
  if (point.seconds > 0 && point.latency_s >= 0 && point.bandwidth >= 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "a point of ", std::string(ExchangeMethodName(point.method)), " has ",
      point.seconds, " s, latency ", point.latency_s, " s, bandwidth ",
      point.bandwidth, ": seconds are positive, the others at least 0"));
}

}  // namespace

const PredictedPoint* Calibration::Worst() const {
  const PredictedPoint* worst = nullptr;
  for (const PredictedPoint& point : points) {
    if (point.calibrates) continue;
    if (worst == nullptr ||
        std::abs(point.error()) > std::abs(worst->error())) {
      worst = &point;
    }
  }
  return worst;
}

absl::StatusOr<Calibration> Calibrate(
    const ModelSpec& model, const SimulationShape& shape,
    CollectiveAlgorithm algorithm, const std::vector<MeasuredPoint>& points) {
  for (const MeasuredPoint& point : points) RETURN_IF_ERROR(CheckPoint(point));
  ASSIGN_OR_RETURN(const Pair pair, FindPair(points));
  const Calibrator calibrator(model, shape, algorithm);
  Calibration calibration;
  ASSIGN_OR_RETURN(calibration.compute,
                   calibrator.Solve(points[pair.shorter], points[pair.longer]));
  for (size_t i = 0; i < points.size(); ++i) {
    PredictedPoint point;
    point.measured = points[i];
    point.calibrates = i == pair.shorter || i == pair.longer;
    ASSIGN_OR_RETURN(point.seconds,
                     calibrator.Predict(points[i], calibration.compute));
    calibration.points.push_back(point);
  }
  return calibration;
}

}  // namespace longspan
