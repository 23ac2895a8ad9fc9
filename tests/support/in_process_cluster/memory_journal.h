// A journal in memory that outlives coordinators and can be made to fail.
#pragma once

#include <vector>

#include "coordinator/store/journal.h"

namespace longspan::testing {

class MemoryJournal final : public coordinator::Journal {
 public:
  absl::Status Append(
      const std::vector<coordinator::JournalEntry>& entries) override;
  absl::Status CheckWritable() override { return failure_; }
  absl::Status Compact(const std::vector<coordinator::JobName>& deleted,
                       int64_t revision) override;

  // What a coordinator that starts now would read.
  coordinator::JournalContents Contents() const { return contents_; }

  // Until this is called with OK, appends fail and change nothing.
  void FailWith(absl::Status status) { failure_ = std::move(status); }

 private:
  coordinator::JournalContents contents_;
  absl::Status failure_;
};

}  // namespace longspan::testing
