#include "worker/executor/pending_replies.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace longspan::worker {

int64_t PendingReplies::Open() {
  MutexLock lock(mu_);
  const int64_t id = next_id_++;
  Answer& answer = questions_[id];
  if (!failure_.ok()) answer = absl::StatusOr<std::string>(failure_);
  return id;
}

void PendingReplies::Deliver(int64_t id, absl::StatusOr<std::string> answer) {
  MutexLock lock(mu_);
  auto question = questions_.find(id);
  if (question == questions_.end() || question->second) return;
  question->second = std::move(answer);
  answered_.NotifyAll();
}

absl::StatusOr<std::string> PendingReplies::Wait(int64_t id,
                                                 absl::Duration timeout) {
  const auto deadline =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mu_);
  auto question = questions_.find(id);
  LONGSPAN_CHECK(question != questions_.end()) << "question " << id;
  while (!question->second) {
    if (!answered_.WaitUntil(mu_, deadline) && !question->second) {
      question->second = absl::DeadlineExceededError(absl::StrCat(
          "no answer from the agent in ", absl::FormatDuration(timeout)));
    }
  }
  absl::StatusOr<std::string> answer = *std::move(question->second);
  questions_.erase(question);
  return answer;
}

void PendingReplies::FailAll(absl::Status reason) {
  MutexLock lock(mu_);
  if (!failure_.ok()) return;
  failure_ = reason;
  for (auto& [id, answer] : questions_) {
    if (!answer) answer = absl::StatusOr<std::string>(reason);
  }
  answered_.NotifyAll();
}

}  // namespace longspan::worker
