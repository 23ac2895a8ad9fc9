#include "coordinator/ops/progress_board.h"

#include <algorithm>

#include "coordinator/ops/wire_time.h"

namespace longspan::coordinator {
namespace {

// Below this the estimate would be a guess.
constexpr double kLeastFraction = 0.005;

void RaiseMemory(const v1::Progress& from, v1::Progress& to) {
  to.set_memory_used_bytes(
      std::max(to.memory_used_bytes(), from.memory_used_bytes()));
  to.set_memory_peak_bytes(
      std::max(to.memory_peak_bytes(), from.memory_peak_bytes()));
  to.set_memory_planned_bytes(
      std::max(to.memory_planned_bytes(), from.memory_planned_bytes()));
}

void EstimateRemaining(absl::Time now, JobProgress& entry) {
  const double gained = entry.progress.fraction() - entry.first_fraction;
  if (entry.progress.has_remaining() || gained < kLeastFraction) return;
  const double left = std::max(0.0, 1.0 - entry.progress.fraction());
  WriteDuration((now - entry.first_time) * (left / gained),
                entry.progress.mutable_remaining());
}

}  // namespace

bool ProgressBoard::Update(const JobName& job, int attempt, int rank,
                           const v1::Progress& progress, absl::Time now) {
  JobProgress& entry = board_[job];
  if (rank != 0) {
    RaiseMemory(progress, entry.progress);
    return false;
  }
  const v1::Progress before = entry.progress;
  entry.progress = progress;
  RaiseMemory(before, entry.progress);
  WriteTime(now, entry.progress.mutable_update_time());
  if (entry.attempt != attempt) {
    entry.attempt = attempt;
    entry.first_fraction = progress.fraction();
    entry.first_time = now;
  }
  EstimateRemaining(now, entry);
  if (now - entry.shown_at < interval_ && now >= entry.shown_at) return false;
  entry.shown_at = now;
  ++entry.version;
  return true;
}

const JobProgress* ProgressBoard::Find(const JobName& job) const {
  auto found = board_.find(job);
  return found == board_.end() ? nullptr : &found->second;
}

}  // namespace longspan::coordinator
