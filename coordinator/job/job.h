// What the coordinator knows about a job. Plain data: it changes only through
// the events of job_event.h, so a replay of the events gives the same value.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/job/job_name.h"

namespace longspan::coordinator {

enum class JobState {
  kPending,     // waits for slots
  kStarting,    // placed; ranks are being prepared
  kRunning,     // every rank runs
  kRecovering,  // lost a rank: the gang stops, then waits for slots
  kCancelling,  // the gang stops for good
  kSucceeded,
  kFailed,
  kCancelled,
};

inline constexpr JobState kAllJobStates[] = {
    JobState::kPending,    JobState::kStarting,   JobState::kRunning,
    JobState::kRecovering, JobState::kCancelling, JobState::kSucceeded,
    JobState::kFailed,     JobState::kCancelled,
};

const char* JobStateName(JobState state);  // "RUNNING"
bool IsFinal(JobState state);

enum class JobKind { kTrain, kEvaluate, kGenerate };
const char* JobKindName(JobKind kind);  // "train"

// One rank on one device slot of a worker.
struct Placement {
  int rank = 0;
  std::string worker;
  int slot = 0;

  friend bool operator==(const Placement&, const Placement&) = default;
};

struct RankFailure {
  int rank = 0;
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string error;

  friend bool operator==(const RankFailure&, const RankFailure&) = default;
};

// One try of a job by one gang.
struct Attempt {
  int number = 0;
  // Grows with every gang of the job; messages with an older one are stale.
  int64_t epoch = 0;
  // 32 random bytes that the ranks prove to each other.
  std::string secret;
  std::vector<Placement> placements;  // by rank
  absl::Time start_time = absl::InfiniteFuture();
  absl::Time end_time = absl::InfiniteFuture();
  // In order of arrival; at most one a rank.
  std::vector<RankFailure> failures;
  // The job's newest checkpoint when the attempt began.
  int64_t checkpoint_at_start = 0;
  int64_t resumed_step = 0;
  std::string end_reason;

  friend bool operator==(const Attempt&, const Attempt&) = default;
};

// What the scheduler needs to know of a spec.
struct JobDemand {
  int ranks = 1;
  // Neighbouring ranks that exchange in every layer, a divisor of the ranks;
  // 0: all of them.
  int replica_ranks = 0;
  std::string backend = "cpu";
  int threads = 0;  // 0: what the slot offers
  int priority = 0;
  int max_failures = 3;
  std::vector<std::string> roots;  // that every worker must have
  int64_t memory_bytes = 0;        // of the largest rank; 0: unknown

  friend bool operator==(const JobDemand&, const JobDemand&) = default;
};

// Attempts that a job keeps; older ones are dropped from the front.
inline constexpr size_t kMaxKeptAttempts = 16;

struct Job {
  JobName name;
  JobKind kind = JobKind::kTrain;
  // longspan.v1.JobSpec with defaults resolved, opaque here. Shared between
  // the snapshots of a job.
  std::shared_ptr<const std::string> spec;
  std::string spec_digest;
  JobDemand demand;
  std::string request_id;

  JobState state = JobState::kPending;
  absl::Time create_time = absl::InfiniteFuture();
  absl::Time start_time = absl::InfiniteFuture();  // first gang
  absl::Time end_time = absl::InfiniteFuture();
  // Since when it is RECOVERING with no gang.
  absl::Time recovering_since = absl::InfiniteFuture();
  std::vector<Attempt> attempts;
  int64_t checkpoint_step = 0;
  // Attempts that failed without a newer checkpoint, in a row. Attempts that a
  // draining worker stopped do not count.
  int failures_without_progress = 0;
  std::string pending_note;  // why it went back to the queue
  std::string cancel_reason;
  std::string error;
  std::shared_ptr<const std::string> result;  // longspan.v1.JobResult

  int64_t create_revision = 0;  // orders the queue
  int64_t revision = 0;         // of the newest event

  // The attempt whose gang may still compute, or null.
  const Attempt* LiveAttempt() const;
  Attempt* LiveAttempt();
};

}  // namespace longspan::coordinator
