// longspan simulate: what every method would send, hold and take.
#include <iostream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/file_text.h"
#include "cli/format_simulation.h"
#include "cli/report_error.h"
#include "cli/simulate_request.h"
#include "cli/simulation_json.h"
#include "cli/simulation_plot.h"
#include "common/base/status_macros.h"
#include "common/simulate/calibration.h"
#include "common/simulate/scale_advice.h"

namespace longspan::cli {
namespace {

absl::StatusOr<SweepRequest> Read(const SimulateOptions& options) {
  if (options.file.empty()) return ReadSweepRequest(options, "");
  ASSIGN_OR_RETURN(const std::string text, ReadFileText(options.file));
  return ReadSweepRequest(options, text);
}

// Nothing that was asked for has a cost: the first reason why.
absl::Status CheckAny(const std::vector<SweepPoint>& points) {
  absl::Status first;
  for (const SweepPoint& point : points) {
    for (const SweepEntry& entry : point.entries) {
      if (entry.refusal.ok()) return absl::OkStatus();
      if (first.ok()) first = entry.refusal;
    }
  }
  return first;
}

absl::Status RunCalibration(const SimulateOptions& options,
                            const SweepRequest& request) {
  ASSIGN_OR_RETURN(const std::string text, ReadFileText(options.calibrate));
  ASSIGN_OR_RETURN(const std::vector<MeasuredPoint> points,
                   ReadMeasuredPoints(options.calibrate, text));
  ASSIGN_OR_RETURN(const Calibration calibration,
                   Calibrate(request.model, request.shape,
                             request.network.algorithm, points));
  std::cout << (options.json ? CalibrationJson(calibration)
                             : FormatCalibration(calibration));
  return absl::OkStatus();
}

void PrintPublished(const SweepRequest& request) {
  for (int ranks : request.ranks) {
    for (int64_t tokens : request.tokens) {
      std::cout << FormatPublished(request, tokens, ranks) << "\n";
    }
  }
  std::cout << FormatContradictions();
}

void PrintSweep(const SweepRequest& request,
                const std::vector<SweepPoint>& points) {
  if (points.size() == 1) {
    std::cout << FormatPoint(points[0]);
  } else {
    std::cout << FormatWinners(request, points) << "\n"
              << FormatCrossovers(request);
  }
  std::cout << "\nwhat breaks first, "
            << ScaleAdvice(request, request.tokens.back(), request.ranks.back())
            << "\n";
}

absl::Status RunPredictions(const SimulateOptions& options,
                            const SweepRequest& request) {
  const std::vector<SweepPoint> points = RunSweep(request);
  RETURN_IF_ERROR(CheckAny(points));
  if (!options.svg.empty()) {
    RETURN_IF_ERROR(WriteFileText(options.svg, PlotSweep(request, points)));
  }
  if (options.json) {
    std::cout << SweepJson(points);
  } else {
    PrintSweep(request, points);
  }
  return absl::OkStatus();
}

absl::Status Run(const SimulateOptions& options) {
  ASSIGN_OR_RETURN(const SweepRequest request, Read(options));
  if (!options.calibrate.empty()) return RunCalibration(options, request);
  if (options.mode == "bytes") return RunPredictions(options, request);
  if (options.json || !options.svg.empty()) {
    return absl::InvalidArgumentError(
        "--mode paper prints a table: --json and --svg are for --mode bytes");
  }
  PrintPublished(request);
  return absl::OkStatus();
}

}  // namespace

ExitCode RunSimulate(const SimulateOptions& options) {
  const absl::Status status = Run(options);
  return status.ok() ? ExitCode::kOk : ReportError(status);
}

}  // namespace longspan::cli
