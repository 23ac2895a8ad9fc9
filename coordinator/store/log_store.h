// The logs of jobs: one append-only file a job, read by byte offset.
//
// Files are logs/{tenant}/{job}.log beneath the state directory. A log that
// reached its limit ends with a sentence that says so. Appends are not synced:
// after a power failure the last lines may be missing. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "coordinator/job/job_name.h"

namespace longspan::coordinator {

class LogStore {
 public:
  struct Options {
    std::string directory;
    int64_t max_bytes_per_job = int64_t{64} << 20;
  };

  explicit LogStore(Options options) : options_(std::move(options)) {}

  absl::Status Append(const JobName& job, std::string_view data);

  // At most `limit` bytes from `offset`; empty at (or beyond) the end. A job
  // without output has an empty log. OutOfRange for a negative offset.
  absl::StatusOr<std::string> Read(const JobName& job, int64_t offset,
                                   int64_t limit) const;

  absl::Status Remove(const JobName& job);

 private:
  std::string PathOf(const JobName& job) const;
  absl::Status Write(const JobName& job, std::string_view data) REQUIRES(mu_);

  // Immutable after construction.
  const Options options_;

  mutable Mutex mu_;
  // Guarded by mu_: sizes of the logs written since the start.
  std::map<JobName, int64_t> sizes_ GUARDED_BY(mu_);
};

}  // namespace longspan::coordinator
