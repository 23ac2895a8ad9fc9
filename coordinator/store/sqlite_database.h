// A thin owner of one SQLite connection and its statements. SQLite's codes
// become Status here and nowhere else.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace longspan::coordinator {

// A prepared statement. Bind from 1, Step, read columns from 0, Reset.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* db, sqlite3_stmt* statement)
      : db_(db), statement_(statement) {}
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  void Bind(int index, int64_t value);
  void BindText(int index, std::string_view value);
  void BindBlob(int index, std::string_view value);

  // True: a row is there; false: done.
  absl::StatusOr<bool> Step();
  // Steps a statement that returns no rows, and resets it.
  absl::Status Run();
  void Reset();

  int64_t Int(int column) const;
  std::string Text(int column) const;

 private:
  sqlite3* const db_;
  sqlite3_stmt* const statement_;
};

class SqliteDatabase {
 public:
  // Creates the file (mode 0600) if it is missing.
  static absl::StatusOr<std::unique_ptr<SqliteDatabase>> Open(
      const std::string& path);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  absl::Status Execute(const char* sql);
  absl::StatusOr<std::unique_ptr<SqliteStatement>> Prepare(const char* sql);
  // The first column of the first row.
  absl::StatusOr<int64_t> QueryInt(const char* sql);

  // Runs `body` in one transaction; rolls back if it or the commit fails.
  absl::Status InTransaction(const std::function<absl::Status()>& body);

 private:
  explicit SqliteDatabase(sqlite3* db) : db_(db) {}

  sqlite3* const db_;
};

}  // namespace longspan::coordinator
