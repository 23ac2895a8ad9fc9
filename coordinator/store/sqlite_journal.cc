#include "coordinator/store/sqlite_journal.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "coordinator/store/journal_record.h"

namespace longspan::coordinator {
namespace {

// "LSPJ"; tells our files from other SQLite files.
constexpr int64_t kApplicationId = 0x4c53504a;
constexpr int64_t kSchemaVersion = 1;

constexpr char kSchema[] = R"sql(
  CREATE TABLE events(
    revision INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    record BLOB NOT NULL,
    digest INTEGER NOT NULL);
  CREATE INDEX events_by_job ON events(job);
  CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
  INSERT INTO meta VALUES ('compacted_revision', 0), ('last_revision', 0);
  PRAGMA application_id = 0x4c53504a;
  PRAGMA user_version = 1;
)sql";

int64_t RowDigest(int64_t revision, const std::string& job, int64_t time_us,
                  const std::string& record) {
  const std::string text =
      absl::StrCat(revision, "\n", job, "\n", time_us, "\n", record);
  return std::stoll(Sha256::Hex(text).substr(0, 15), nullptr, 16);
}

absl::Status Damaged(const std::string& path, const std::string& why) {
  return absl::DataLossError(
      absl::StrCat("the journal ", path, " is damaged (", why,
                   "): restore it from a backup, or move it away to start "
                   "with no jobs"));
}

absl::Status Explain(const std::string& path, const absl::Status& status) {
  if (status.code() == absl::StatusCode::kDataLoss) {
    return Damaged(path, std::string(status.message()));
  }
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    return absl::FailedPreconditionError(
        absl::StrCat("another coordinator uses the journal ", path,
                     ": stop it, or give this one its own --state-dir"));
  }
  return absl::Status(status.code(), absl::StrCat("the journal ", path, ": ",
                                                  status.message()));
}

absl::StatusOr<JournalEntry> ReadRow(const std::string& path,
                                     const SqliteStatement& row) {
  const int64_t revision = row.Int(0);
  const std::string job = row.Text(1);
  const int64_t time_us = row.Int(2);
  const std::string record = row.Text(3);
  if (row.Int(4) != RowDigest(revision, job, time_us, record)) {
    return Damaged(
        path, absl::StrCat("event ", revision, " does not match its digest"));
  }
  absl::StatusOr<JobEventBody> body = DecodeJournalRecord(record);
  if (!body.ok()) {
    return absl::Status(body.status().code(),
                        absl::StrCat("the journal ", path, ", event ", revision,
                                     ": ", body.status().message()));
  }
  return JournalEntry{
      revision,
      {JobName(job), absl::FromUnixMicros(time_us), *std::move(body)}};
}

}  // namespace

SqliteJournal::SqliteJournal(std::unique_ptr<SqliteDatabase> db)
    : db_(std::move(db)) {}

absl::StatusOr<SqliteJournal::Opened> SqliteJournal::Open(
    const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteDatabase> db,
                   SqliteDatabase::Open(path));
  std::unique_ptr<SqliteJournal> journal(new SqliteJournal(std::move(db)));
  if (absl::Status status = journal->TakeFile(path); !status.ok()) {
    return Explain(path, status);
  }
  RETURN_IF_ERROR(journal->PrepareSchema(path));
  ASSIGN_OR_RETURN(JournalContents contents, journal->ReadAll(path));
  return Opened{std::move(journal), std::move(contents)};
}

absl::Status SqliteJournal::TakeFile(const std::string&) {
  RETURN_IF_ERROR(db_->Execute("PRAGMA locking_mode = EXCLUSIVE"));
  RETURN_IF_ERROR(db_->Execute("PRAGMA journal_mode = WAL"));
  RETURN_IF_ERROR(db_->Execute("PRAGMA synchronous = FULL"));
  // Takes the lock, which locking_mode keeps until the file is closed.
  RETURN_IF_ERROR(db_->Execute("BEGIN EXCLUSIVE"));
  return db_->Execute("COMMIT");
}

absl::Status SqliteJournal::PrepareSchema(const std::string& path) {
  ASSIGN_OR_RETURN(const int64_t tables,
                   db_->QueryInt("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0) {
    RETURN_IF_ERROR(
        db_->InTransaction([this] { return db_->Execute(kSchema); }));
  }
  ASSIGN_OR_RETURN(const int64_t id, db_->QueryInt("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t version, db_->QueryInt("PRAGMA user_version"));
  if (id != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is an SQLite file, but not a Longspan journal"));
  }
  if (version != kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the journal ", path, " has format ", version,
                     ", and this version reads format ", kSchemaVersion,
                     ": start the version that wrote it"));
  }
  ASSIGN_OR_RETURN(insert_,
                   db_->Prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?)"));
  ASSIGN_OR_RETURN(forget_, db_->Prepare("DELETE FROM events WHERE job = ?"));
  ASSIGN_OR_RETURN(set_meta_,
                   db_->Prepare("UPDATE meta SET value = ? WHERE name = ?"));
  return absl::OkStatus();
}

absl::StatusOr<JournalContents> SqliteJournal::ReadAll(
    const std::string& path) {
  absl::StatusOr<int64_t> check = db_->QueryInt(
      "SELECT count(*) FROM pragma_quick_check WHERE quick_check <> 'ok'");
  if (!check.ok()) return Explain(path, check.status());
  if (*check != 0) return Damaged(path, "SQLite's check fails");
  JournalContents contents;
  ASSIGN_OR_RETURN(
      contents.compacted_revision,
      db_->QueryInt("SELECT value FROM meta WHERE name='compacted_revision'"));
  ASSIGN_OR_RETURN(
      contents.last_revision,
      db_->QueryInt("SELECT value FROM meta WHERE name='last_revision'"));
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteStatement> rows,
                   db_->Prepare("SELECT revision, job, time_us, record, digest "
                                "FROM events ORDER BY revision"));
  while (true) {
    absl::StatusOr<bool> row = rows->Step();
    if (!row.ok()) return Explain(path, row.status());
    if (!*row) return contents;
    ASSIGN_OR_RETURN(JournalEntry entry, ReadRow(path, *rows));
    contents.entries.push_back(std::move(entry));
  }
}

absl::Status SqliteJournal::InsertRow(const JournalEntry& entry) {
  const std::string record = EncodeJournalRecord(entry.event.body);
  const std::string& job = entry.event.job.value();
  const int64_t time_us = absl::ToUnixMicros(entry.event.time);
  insert_->Bind(1, entry.revision);
  insert_->BindText(2, job);
  insert_->Bind(3, time_us);
  insert_->BindBlob(4, record);
  insert_->Bind(5, RowDigest(entry.revision, job, time_us, record));
  return insert_->Run();
}

absl::Status SqliteJournal::Append(const std::vector<JournalEntry>& entries) {
  return db_->InTransaction([&]() -> absl::Status {
    for (const JournalEntry& entry : entries) {
      RETURN_IF_ERROR(InsertRow(entry));
    }
    set_meta_->Bind(1, entries.back().revision);
    set_meta_->BindText(2, "last_revision");
    return set_meta_->Run();
  });
}

absl::Status SqliteJournal::CheckWritable() {
  return db_->Execute(
      "UPDATE meta SET value = value WHERE name = 'last_revision'");
}

absl::Status SqliteJournal::Compact(const std::vector<JobName>& deleted,
                                    int64_t revision) {
  return db_->InTransaction([&]() -> absl::Status {
    for (const JobName& job : deleted) {
      forget_->BindText(1, job.value());
      RETURN_IF_ERROR(forget_->Run());
    }
    set_meta_->Bind(1, revision);
    set_meta_->BindText(2, "compacted_revision");
    return set_meta_->Run();
  });
}

}  // namespace longspan::coordinator
