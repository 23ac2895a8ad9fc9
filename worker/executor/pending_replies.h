// Questions to the agent that wait for their answers, by number.
//
// Thread-safe. Every waiter has a deadline and is woken when the socket ends.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace longspan::worker {

class PendingReplies {
 public:
  // A new question; Wait must follow.
  int64_t Open() EXCLUDES(mu_);

  // The answer to question `id`; ignored if nobody waits for it any more.
  void Deliver(int64_t id, absl::StatusOr<std::string> answer) EXCLUDES(mu_);

  // kDeadlineExceeded after `timeout`; the question is closed either way.
  absl::StatusOr<std::string> Wait(int64_t id, absl::Duration timeout)
      EXCLUDES(mu_);

  // Answers all present and later questions with `reason`.
  void FailAll(absl::Status reason) EXCLUDES(mu_);

 private:
  using Answer = std::optional<absl::StatusOr<std::string>>;

  Mutex mu_;
  CondVar answered_;
  int64_t next_id_ GUARDED_BY(mu_) = 1;
  std::map<int64_t, Answer> questions_ GUARDED_BY(mu_);
  absl::Status failure_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
