#include "tests/support/in_process_cluster/memory_journal.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "coordinator/store/journal_record.h"

namespace longspan::testing {

absl::Status MemoryJournal::Append(
    const std::vector<coordinator::JournalEntry>& entries) {
  RETURN_IF_ERROR(failure_);
  for (const coordinator::JournalEntry& entry : entries) {
    // Through the bytes, so that every test also tests the records.
    absl::StatusOr<coordinator::JobEventBody> body =
        coordinator::DecodeJournalRecord(
            coordinator::EncodeJournalRecord(entry.event.body));
    LONGSPAN_CHECK_OK(body.status());
    contents_.entries.push_back(
        {entry.revision, {entry.event.job, entry.event.time, *body}});
    contents_.last_revision = entry.revision;
  }
  return absl::OkStatus();
}

absl::Status MemoryJournal::Compact(
    const std::vector<coordinator::JobName>& deleted, int64_t revision) {
  std::erase_if(contents_.entries, [&](const auto& entry) {
    return std::find(deleted.begin(), deleted.end(), entry.event.job) !=
           deleted.end();
  });
  contents_.compacted_revision = revision;
  return absl::OkStatus();
}

}  // namespace longspan::testing
