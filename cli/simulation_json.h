// Simulations and measured points as JSON (docs/simulate.md has the fields).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/simulate/calibration.h"
#include "common/simulate/sweep.h"

namespace longspan::cli {

std::string SweepJson(const std::vector<SweepPoint>& points);
std::string CalibrationJson(const Calibration& calibration);

// {"points": [{"method", "ranks", "tokens", "latency_s",
// "bandwidth_bytes_per_s", "seconds"}, ...]}; other members are ignored, and
// points whose "method" the simulator does not know are refused. Errors name
// `file` and the point.
absl::StatusOr<std::vector<MeasuredPoint>> ReadMeasuredPoints(
    const std::string& file, const std::string& text);

}  // namespace longspan::cli
