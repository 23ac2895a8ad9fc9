// The journal in one SQLite file: one row an event,
//
//   events(revision, job, time_us, record, digest)
//
// where `record` is a longspan.internal.JournalRecord and `digest` the first
// 60 bits of SHA-256 over the other columns, so that a flipped bit is found
// when the journal is opened. WAL with locking_mode=EXCLUSIVE (no shared-memory
// file, and a second coordinator on the same file is refused) and
// synchronous=FULL (an append is on the disk when it returns). The file must
// lie on a local or ReadWriteOnce volume, never on NFS.
//
// Not thread-safe; the core guards it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/store/journal.h"
#include "coordinator/store/sqlite_database.h"

namespace longspan::coordinator {

class SqliteJournal final : public Journal {
 public:
  struct Opened {
    std::unique_ptr<SqliteJournal> journal;
    JournalContents contents;
  };

  // Creates or opens `path` and reads everything. One sentence says why not:
  //   FailedPrecondition  another coordinator holds the file, a newer version
  //                       wrote it, or it is some other SQLite file
  //   DataLoss            it is damaged
  static absl::StatusOr<Opened> Open(const std::string& path);

  absl::Status Append(const std::vector<JournalEntry>& entries) override;
  absl::Status CheckWritable() override;
  absl::Status Compact(const std::vector<JobName>& deleted,
                       int64_t revision) override;

 private:
  explicit SqliteJournal(std::unique_ptr<SqliteDatabase> db);

  absl::Status TakeFile(const std::string& path);
  absl::Status PrepareSchema(const std::string& path);
  absl::StatusOr<JournalContents> ReadAll(const std::string& path);
  absl::Status InsertRow(const JournalEntry& entry);

  std::unique_ptr<SqliteDatabase> db_;
  std::unique_ptr<SqliteStatement> insert_;
  std::unique_ptr<SqliteStatement> forget_;
  std::unique_ptr<SqliteStatement> set_meta_;
};

}  // namespace longspan::coordinator
