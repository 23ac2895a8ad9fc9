// Simulations as text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "common/simulate/calibration.h"
#include "common/simulate/sweep.h"

namespace longspan::cli {

// "256Ki", "1Mi", "1000".
std::string CountText(int64_t count);

// One length and number of ranks: a line per method, and why others have none.
std::string FormatPoint(const SweepPoint& point);

// The fastest method of every length and number of ranks, as a grid.
std::string FormatWinners(const SweepRequest& request,
                          const std::vector<SweepPoint>& points);

// From which length on lasp2 is the faster, and sends less, per number of
// ranks and other method; empty when lasp2 or every other one is not asked for.
std::string FormatCrossovers(const SweepRequest& request);

// What the papers count (--mode paper) at one point, and where they contradict
// themselves.
std::string FormatPublished(const SweepRequest& request, int64_t tokens,
                            int ranks);
std::string FormatContradictions();

// Prediction beside measurement, the errors and the worst.
std::string FormatCalibration(const Calibration& calibration);

}  // namespace longspan::cli
