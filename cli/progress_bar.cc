#include "cli/progress_bar.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/format_job.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

constexpr int kBarWidth = 20;

std::string Bar(double fraction) {
  double bounded =
      std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  int full = static_cast<int>(bounded * kBarWidth);
  return absl::StrFormat("[%s%s] %3.0f%%", std::string(full, '#'),
                         std::string(kBarWidth - full, '.'),
                         std::floor(bounded * 100));
}

}  // namespace

std::string ProgressBar(v1::JobState state, const v1::Progress& progress,
                        int width) {
  std::string phase = state == v1::RUNNING && !progress.phase().empty()
                          ? progress.phase()
                          : StateName(state);
  std::string line = absl::StrCat(phase, "  ", Bar(progress.fraction()), "  ",
                                  FormatProgress(progress));
  if (progress.has_remaining()) {
    absl::StrAppend(&line, "  ETA ",
                    FormatElapsed(FromProto(progress.remaining())));
  }
  return line.substr(0, static_cast<size_t>(std::max(width, 0)));
}

}  // namespace longspan::cli
