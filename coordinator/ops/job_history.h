// The newest events as watchers see them: for every revision the job after it.
// Bounded; what falls out of it is compacted. Not thread-safe; the core guards
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/time/time.h"
#include "coordinator/job/job_table.h"

namespace longspan::coordinator {

struct HistoryEntry {
  int64_t revision = 0;
  absl::Time time;
  JobName job;
  JobSnapshot after;  // null: deleted
};

class JobHistory {
 public:
  explicit JobHistory(size_t capacity) : capacity_(capacity) {}

  void Add(HistoryEntry entry);

  // Events up to here may be missing.
  int64_t compacted_revision() const { return compacted_; }
  void SetCompacted(int64_t revision);

  // The first entry above `revision`, or null.
  const HistoryEntry* After(int64_t revision) const;

 private:
  const size_t capacity_;
  std::deque<HistoryEntry> entries_;
  int64_t compacted_ = 0;
};

}  // namespace longspan::coordinator
