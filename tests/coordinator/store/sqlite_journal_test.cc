#include "coordinator/store/sqlite_journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "coordinator/job/job_table.h"

namespace longspan::coordinator {
namespace {

class SqliteJournalTest : public ::testing::Test {
 protected:
  SqliteJournalTest() {
    directory_ =
        (std::filesystem::temp_directory_path() / "longspan-XXXXXX").string();
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/journal.sqlite";
  }
  ~SqliteJournalTest() override { std::filesystem::remove_all(directory_); }

  static JournalEntry Created(int64_t revision, const std::string& id) {
    JobCreated created;
    created.spec = std::make_shared<const std::string>("spec of " + id);
    return {
        revision,
        {MakeJobName("default", id), absl::FromUnixMicros(1234567), created}};
  }

  // Writes `count` jobs and closes the file, so that all is in it.
  void WriteJobs(int count) {
    absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    for (int i = 1; i <= count; ++i) {
      ASSERT_TRUE(
          opened->journal->Append({Created(i, "j" + std::to_string(i))}).ok());
    }
  }

  absl::Status OpenStatus() { return SqliteJournal::Open(path_).status(); }

  std::string directory_;
  std::string path_;
};

TEST_F(SqliteJournalTest, ReplaysWhatWasAppended) {
  WriteJobs(3);
  absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_EQ(opened->contents.entries.size(), 3u);
  EXPECT_EQ(opened->contents.last_revision, 3);
  EXPECT_EQ(opened->contents.compacted_revision, 0);
  const JournalEntry& second = opened->contents.entries[1];
  EXPECT_EQ(second.revision, 2);
  EXPECT_EQ(second.event.job, MakeJobName("default", "j2"));
  EXPECT_EQ(second.event.time, absl::FromUnixMicros(1234567));
  EXPECT_EQ(*std::get<JobCreated>(second.event.body).spec, "spec of j2");
}

TEST_F(SqliteJournalTest, BatchesAreAtomic) {
  WriteJobs(1);
  absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
  ASSERT_TRUE(opened.ok());
  // Revision 1 exists: the second row fails, so the first must not stay.
  EXPECT_FALSE(
      opened->journal->Append({Created(2, "b"), Created(1, "c")}).ok());
  EXPECT_TRUE(opened->journal->Append({Created(2, "d")}).ok());
  opened->journal.reset();
  absl::StatusOr<SqliteJournal::Opened> again = SqliteJournal::Open(path_);
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->contents.entries.size(), 2u);
  EXPECT_EQ(again->contents.entries[1].event.job, MakeJobName("default", "d"));
}

TEST_F(SqliteJournalTest, SecondCoordinatorIsRefused) {
  absl::StatusOr<SqliteJournal::Opened> first = SqliteJournal::Open(path_);
  ASSERT_TRUE(first.ok());
  const absl::Status second = OpenStatus();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(second.message().find("another coordinator uses the journal"),
            std::string::npos)
      << second;
  first->journal.reset();
  EXPECT_TRUE(OpenStatus().ok());
}

TEST_F(SqliteJournalTest, FileIsPrivateAndHasNoSharedMemory) {
  absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE(opened->journal->Append({Created(1, "a")}).ok());
  struct stat info;
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_FALSE(std::filesystem::exists(path_ + "-shm"));
}

// As after kill -9: the write-ahead log holds what the file does not yet.
TEST_F(SqliteJournalTest, SurvivesBeingKilled) {
  absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE(opened->journal->Append({Created(1, "a")}).ok());
  const std::string copy = directory_ + "/copy.sqlite";
  std::filesystem::copy_file(path_, copy);
  std::filesystem::copy_file(path_ + "-wal", copy + "-wal");
  absl::StatusOr<SqliteJournal::Opened> after = SqliteJournal::Open(copy);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->contents.entries.size(), 1u);
}

// A torn write at the end of the log loses only what was not acknowledged.
TEST_F(SqliteJournalTest, TornTailIsCutOff) {
  absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
  ASSERT_TRUE(opened.ok());
  ASSERT_TRUE(opened->journal->Append({Created(1, "a")}).ok());
  const auto acknowledged = std::filesystem::file_size(path_ + "-wal");
  ASSERT_TRUE(opened->journal->Append({Created(2, "b")}).ok());
  const std::string copy = directory_ + "/copy.sqlite";
  std::filesystem::copy_file(path_, copy);
  std::filesystem::copy_file(path_ + "-wal", copy + "-wal");
  std::filesystem::resize_file(copy + "-wal", acknowledged + 100);
  absl::StatusOr<SqliteJournal::Opened> after = SqliteJournal::Open(copy);
  ASSERT_TRUE(after.ok()) << after.status();
  ASSERT_EQ(after->contents.entries.size(), 1u);
  EXPECT_EQ(after->contents.entries[0].revision, 1);
}

TEST_F(SqliteJournalTest, FlippedBitIsFound) {
  WriteJobs(5);
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)),
                    std::istreambuf_iterator<char>());
  const size_t at = bytes.find("spec of j3");
  ASSERT_NE(at, std::string::npos);
  file.seekp(static_cast<std::streamoff>(at));
  file.put('S');
  file.close();
  const absl::Status status = OpenStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("event 3 does not match its digest"),
            std::string::npos)
      << status;
}

TEST_F(SqliteJournalTest, GarbageIsRefusedInASentence) {
  std::ofstream(path_) << std::string(8192, 'x');
  const absl::Status status = OpenStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_NE(status.message().find("is damaged"), std::string::npos) << status;
}

TEST_F(SqliteJournalTest, OverwrittenPageIsRefused) {
  WriteJobs(200);
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(2 * 4096);
  file << std::string(4096, '\x55');
  file.close();
  EXPECT_EQ(OpenStatus().code(), absl::StatusCode::kDataLoss) << OpenStatus();
}

TEST_F(SqliteJournalTest, NewerFormatAndForeignFilesAreRefused) {
  WriteJobs(1);
  {
    absl::StatusOr<std::unique_ptr<SqliteDatabase>> db =
        SqliteDatabase::Open(path_);
    ASSERT_TRUE(db.ok());
    ASSERT_TRUE((*db)->Execute("PRAGMA user_version = 2").ok());
  }
  EXPECT_NE(OpenStatus().message().find("has format 2"), std::string::npos)
      << OpenStatus();
  {
    absl::StatusOr<std::unique_ptr<SqliteDatabase>> db =
        SqliteDatabase::Open(path_);
    ASSERT_TRUE(db.ok());
    ASSERT_TRUE((*db)->Execute("PRAGMA application_id = 7").ok());
  }
  EXPECT_NE(OpenStatus().message().find("not a Longspan journal"),
            std::string::npos)
      << OpenStatus();
}

TEST_F(SqliteJournalTest, CompactionForgetsDeletedJobs) {
  WriteJobs(3);
  absl::StatusOr<SqliteJournal::Opened> opened = SqliteJournal::Open(path_);
  ASSERT_TRUE(opened.ok());
  const JobName second = MakeJobName("default", "j2");
  ASSERT_TRUE(opened->journal
                  ->Append({{4, {second, absl::UnixEpoch(), JobFailed{"x"}}},
                            {5, {second, absl::UnixEpoch(), JobDeleted{}}}})
                  .ok());
  ASSERT_TRUE(opened->journal->Compact({second}, 5).ok());
  EXPECT_TRUE(opened->journal->CheckWritable().ok());
  opened->journal.reset();
  absl::StatusOr<SqliteJournal::Opened> again = SqliteJournal::Open(path_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->contents.entries.size(), 2u);
  EXPECT_EQ(again->contents.compacted_revision, 5);
  EXPECT_EQ(again->contents.last_revision, 5);
  JobTable table;
  for (const JournalEntry& entry : again->contents.entries) {
    EXPECT_TRUE(table.Apply(entry.event, entry.revision).ok());
  }
}

}  // namespace
}  // namespace longspan::coordinator
