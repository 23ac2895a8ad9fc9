#include "coordinator/ops/job_history.h"

#include <algorithm>
#include <utility>

namespace longspan::coordinator {

void JobHistory::Add(HistoryEntry entry) {
  entries_.push_back(std::move(entry));
  while (entries_.size() > capacity_) {
    SetCompacted(entries_.front().revision);
    entries_.pop_front();
  }
}

void JobHistory::SetCompacted(int64_t revision) {
  compacted_ = std::max(compacted_, revision);
}

const HistoryEntry* JobHistory::After(int64_t revision) const {
  auto found = std::upper_bound(
      entries_.begin(), entries_.end(), revision,
      [](int64_t r, const HistoryEntry& entry) { return r < entry.revision; });
  return found == entries_.end() ? nullptr : &*found;
}

}  // namespace longspan::coordinator
