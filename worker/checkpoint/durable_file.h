// Files that are on the disk when we say so, with their digest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/sha256.h"
#include "common/base/unique_fd.h"

namespace longspan::worker {

// Writes a new file piece by piece. Not thread-safe.
class DurableFile {
 public:
  // Replaces an existing file of that name.
  static absl::StatusOr<DurableFile> Create(const std::string& path);

  absl::Status Write(std::string_view bytes);
  // Flushes to the disk and closes.
  absl::Status Finish();

  int64_t bytes() const { return bytes_; }
  std::string HexDigest() const { return digest_.HexDigest(); }

 private:
  DurableFile(std::string path, UniqueFd file)
      : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  UniqueFd file_;
  Sha256 digest_;
  int64_t bytes_ = 0;
};

// Flushes a directory's entries: names created or renamed in it.
absl::Status SyncDirectory(const std::string& path);

// The whole file; kNotFound, kDataLoss above `max_bytes`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path,
                                          int64_t max_bytes);

}  // namespace longspan::worker
