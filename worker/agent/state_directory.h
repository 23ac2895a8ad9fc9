// What a daemon must remember across its own death: which executors it has
// started. A daemon that comes back proves that they are gone before it offers
// their slots.
//
//   lock              held while the daemon lives: one daemon per directory
//   executors/<pid>   the start time of that process, in clock ticks since boot
//
// Not thread-safe.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/unique_fd.h"

namespace longspan::worker {

class StateDirectory {
 public:
  // Makes the directory if needed (mode 0700). FailedPrecondition if another
  // daemon holds it.
  static absl::StatusOr<StateDirectory> Open(const std::string& path);

  absl::Status RememberExecutor(pid_t pid) const;
  void ForgetExecutor(pid_t pid) const;

  // Kills the remembered executors that still run and waits for their end.
  // Returns how many there were; DeadlineExceeded if one does not die.
  absl::StatusOr<int> EndLeftovers(absl::Duration timeout) const;

 private:
  StateDirectory(std::string path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string PathOf(pid_t pid) const;

  std::string path_;
  UniqueFd lock_;
};

// When the process started, in clock ticks since boot; NotFound if it is gone.
// Tells a process from a later one with the same number.
absl::StatusOr<long long> ProcessStartTime(pid_t pid);

}  // namespace longspan::worker
