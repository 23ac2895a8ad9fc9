// Step time and memory of a sweep against ranks and length, as an SVG of four
// panels with logarithmic axes.
#pragma once

#include <string>
#include <vector>

#include "common/simulate/sweep.h"

namespace longspan::cli {

// Panels against ranks show the longest sequence, those against length the
// most ranks. Methods without a cost at a point are left out there.
std::string PlotSweep(const SweepRequest& request,
                      const std::vector<SweepPoint>& points);

}  // namespace longspan::cli
