// Where the coordinator's events are made durable: what is not in the journal
// did not happen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/job/job_event.h"

namespace longspan::coordinator {

struct JournalEntry {
  int64_t revision = 0;
  JobEvent event;
};

// What a journal held when it was opened.
struct JournalContents {
  std::vector<JournalEntry> entries;  // by revision
  // Events up to here may be missing: those of deleted jobs were removed.
  int64_t compacted_revision = 0;
  // The newest revision ever given out.
  int64_t last_revision = 0;
};

class Journal {
 public:
  virtual ~Journal() = default;

  // All entries or none; on return they are on the disk. An error changes
  // nothing, and the next call may succeed (a full disk was cleared).
  virtual absl::Status Append(const std::vector<JournalEntry>& entries) = 0;

  // Writes something that changes nothing: OK if an append would succeed.
  virtual absl::Status CheckWritable() = 0;

  // Forgets the events of deleted jobs. Events up to `revision` count as
  // compacted from then on.
  virtual absl::Status Compact(const std::vector<JobName>& deleted,
                               int64_t revision) = 0;
};

}  // namespace longspan::coordinator
