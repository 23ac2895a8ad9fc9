// Simulations as text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "common/simulate/sweep.h"

namespace longspan::cli {

// "256Ki", "1Mi", "1000".
std::string CountText(int64_t count);

// One length and number of ranks: a line per method, and why others have none.
std::string FormatPoint(const SweepPoint& point);

// The fastest method of every length and number of ranks, as a grid.
std::string FormatWinners(const SweepRequest& request,
                          const std::vector<SweepPoint>& points);

}  // namespace longspan::cli
