#include "coordinator/dispatch/gang.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace longspan::coordinator {

bool HasEnded(RankPhase phase) { return phase >= RankPhase::kSucceeded; }

bool Gang::AllEnded() const {
  return std::all_of(ranks.begin(), ranks.end(), [](const RankStatus& rank) {
    return HasEnded(rank.phase);
  });
}

bool Gang::AllSucceeded() const {
  return std::all_of(ranks.begin(), ranks.end(), [](const RankStatus& rank) {
    return rank.phase == RankPhase::kSucceeded;
  });
}

bool Gang::AllReached(RankPhase phase) const {
  return std::all_of(ranks.begin(), ranks.end(), [&](const RankStatus& rank) {
    return rank.phase >= phase && rank.phase <= RankPhase::kSucceeded;
  });
}

Gang NewGang(const Job& job, absl::Duration now) {
  const Attempt* live = job.LiveAttempt();
  LONGSPAN_CHECK(live != nullptr) << job.name;
  Gang gang;
  gang.job = job.name;
  gang.attempt = live->number;
  gang.epoch = live->epoch;
  gang.ranks.resize(live->placements.size());
  gang.placed_at = now;
  return gang;
}

bool UpdateRank(RankStatus report, RankStatus& rank) {
  if (HasEnded(rank.phase) || report.phase <= rank.phase) return false;
  if (report.resumed_step == 0) report.resumed_step = rank.resumed_step;
  rank = std::move(report);
  return true;
}

}  // namespace longspan::coordinator
