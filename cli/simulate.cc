// longspan simulate: what every method would send, hold and take.
#include <iostream>

#include "cli/commands.h"
#include "cli/file_text.h"
#include "cli/format_simulation.h"
#include "cli/report_error.h"
#include "cli/simulate_request.h"
#include "common/base/status_macros.h"

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

absl::Status Run(const SimulateOptions& options) {
  ASSIGN_OR_RETURN(const SweepRequest request, Read(options));
  const std::vector<SweepPoint> points = RunSweep(request);
  RETURN_IF_ERROR(CheckAny(points));
  if (points.size() == 1) {
    std::cout << FormatPoint(points[0]);
  } else {
    std::cout << FormatWinners(request, points);
  }
  return absl::OkStatus();
}

}  // namespace

ExitCode RunSimulate(const SimulateOptions& options) {
  const absl::Status status = Run(options);
  return status.ok() ? ExitCode::kOk : ReportError(status);
}

}  // namespace longspan::cli
