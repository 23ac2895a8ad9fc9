#include "coordinator/status_page/progress_history.h"

#include <utility>

#include "coordinator/ops/core.h"

namespace longspan::coordinator {
namespace {

// What a kind of job does not have is reported as 0, and between validations
// the newest is repeated.
void Extend(const v1::Progress& now, double last_validation_loss,
            JobCurves& curves) {
  if (now.loss() != 0) curves.loss.Add(now.done(), now.loss());
  if (now.tokens_per_second() > 0) {
    curves.tokens_per_second.Add(now.done(), now.tokens_per_second());
  }
  if (now.validation_loss() != 0 &&
      now.validation_loss() != last_validation_loss) {
    curves.validation_loss.Add(now.done(), now.validation_loss());
  }
}

}  // namespace

const char* ProgressHistory::name() const { return "progress history"; }

absl::Duration ProgressHistory::period() const {
  return absl::Milliseconds(100);
}

std::map<JobName, v1::Progress> ProgressHistory::NewestProgress() {
  std::map<JobName, v1::Progress> newest;
  std::set<JobName> live;
  MutexLock lock(core_.mu);
  for (const auto& [job, gang] : core_.gangs) live.insert(job);
  live_.insert(live.begin(), live.end());
  for (const JobName& job : live_) {
    if (const JobProgress* progress = core_.progress.Find(job)) {
      newest[job] = progress->progress;
    }
  }
  live_ = std::move(live);
  return newest;
}

ProgressHistory::Entry& ProgressHistory::EntryOf(const JobName& job) {
  const auto [entry, is_new] = entries_.try_emplace(job);
  if (!is_new) return entry->second;
  order_.push_back(job);
  if (order_.size() > most_jobs_) {
    entries_.erase(order_.front());
    order_.pop_front();
  }
  return entry->second;
}

void ProgressHistory::Run() {
  const std::map<JobName, v1::Progress> newest = NewestProgress();
  MutexLock lock(mu_);
  for (const auto& [job, progress] : newest) {
    Entry& entry = EntryOf(job);
    Extend(progress, entry.validation_loss, entry.curves);
    entry.validation_loss = progress.validation_loss();
  }
}

std::optional<JobCurves> ProgressHistory::Find(const JobName& job) const {
  MutexLock lock(mu_);
  const auto found = entries_.find(job);
  if (found == entries_.end()) return std::nullopt;
  return found->second.curves;
}

}  // namespace longspan::coordinator
