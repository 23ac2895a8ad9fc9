#include "worker/collective/thread_world.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace longspan::worker {

absl::StatusOr<std::shared_ptr<ThreadMeeting>> ThreadWorld::Join(
    const ThreadMeetingKey& key, int rank, int participants,
    const std::string& operation, ThreadContribution contribution,
    const Carry& carry) {
  std::shared_ptr<ThreadMeeting> meeting;
  {
    MutexLock lock(mu_);
    if (!broken_.ok()) return broken_;
    std::shared_ptr<ThreadMeeting>& open = open_[key];
    if (open == nullptr) {
      open = std::make_shared<ThreadMeeting>();
      open->operation = operation;
    }
    meeting = open;
    if (meeting->operation != operation) {
      BreakLocked(absl::InvalidArgumentError(
          absl::StrCat("rank ", rank, " calls ", operation,
                       " where others call ", meeting->operation,
                       "; ranks must call the same collectives in "
                       "the same order")));
      return broken_;
    }
    meeting->contributions[rank] = std::move(contribution);
    if (static_cast<int>(meeting->contributions.size()) < participants) {
      return meeting;
    }
    meeting->running = true;
    open_.erase(key);
  }
  const absl::Status carried = carry(meeting->contributions);
  MutexLock lock(mu_);
  meeting->running = false;
  meeting->done = carried.ok();
  if (!carried.ok()) BreakLocked(carried);
  changed_.NotifyAll();
  return meeting;
}

absl::Status ThreadWorld::Wait(ThreadMeeting& meeting, int rank,
                               const std::string& what,
                               std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mu_);
  while (!meeting.done && broken_.ok()) {
    if (changed_.WaitUntil(mu_, deadline)) continue;
    if (meeting.done || meeting.running) break;
    BreakLocked(absl::DeadlineExceededError(
        absl::StrCat("rank ", rank, ": ", what, ": deadline passed waiting for",
                     MissingRanks(meeting))));
  }
  // Another rank may be reading our memory: that takes only a moment.
  while (meeting.running) changed_.Wait(mu_);
  return meeting.done ? absl::OkStatus() : broken_;
}

void ThreadWorld::Break(absl::Status reason) {
  MutexLock lock(mu_);
  BreakLocked(std::move(reason));
}

void ThreadWorld::BreakLocked(absl::Status reason) {
  LONGSPAN_CHECK(!reason.ok()) << "a group breaks with an error";
  if (broken_.ok()) broken_ = std::move(reason);
  open_.clear();
  changed_.NotifyAll();
}

std::string ThreadWorld::MissingRanks(const ThreadMeeting& meeting) const {
  std::string ranks;
  for (int r = 0; r < size_; ++r) {
    if (meeting.contributions.count(r) == 0) absl::StrAppend(&ranks, " ", r);
  }
  return absl::StrCat(" rank", ranks.size() > 2 ? "s" : "", ranks);
}

}  // namespace longspan::worker
