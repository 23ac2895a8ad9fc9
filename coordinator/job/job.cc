#include "coordinator/job/job.h"

namespace longspan::coordinator {

const char* JobStateName(JobState state) {
  switch (state) {
    case JobState::kPending:
      return "PENDING";
    case JobState::kStarting:
      return "STARTING";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kRecovering:
      return "RECOVERING";
    case JobState::kCancelling:
      return "CANCELLING";
    case JobState::kSucceeded:
      return "SUCCEEDED";
    case JobState::kFailed:
      return "FAILED";
    case JobState::kCancelled:
      return "CANCELLED";
  }
  return "UNKNOWN";
}

bool IsFinal(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed ||
         state == JobState::kCancelled;
}

const char* JobKindName(JobKind kind) {
  switch (kind) {
    case JobKind::kTrain:
      return "train";
    case JobKind::kEvaluate:
      return "evaluate";
    case JobKind::kGenerate:
      return "generate";
  }
  return "unknown";
}

const Attempt* Job::LiveAttempt() const {
  if (attempts.empty()) return nullptr;
  const Attempt& last = attempts.back();
  return last.end_time == absl::InfiniteFuture() ? &last : nullptr;
}

Attempt* Job::LiveAttempt() {
  return const_cast<Attempt*>(static_cast<const Job*>(this)->LiveAttempt());
}

}  // namespace longspan::coordinator
