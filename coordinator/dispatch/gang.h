// What the ranks of a live attempt last reported. Kept in memory only: after a
// restart of the coordinator the workers report it again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/job/job.h"

namespace longspan::coordinator {

// In the order of a rank's life.
enum class RankPhase {
  kAssigned,  // told, or not heard of since the coordinator started
  kPrepared,
  kRunning,
  kSucceeded,
  kFailed,
  kStopped,
  kLost,  // its worker is gone
};

bool HasEnded(RankPhase phase);

struct RankStatus {
  RankPhase phase = RankPhase::kAssigned;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string error;
  int64_t resumed_step = 0;
  std::string result;  // longspan.v1.JobResult, of rank 0
};

struct Gang {
  JobName job;
  int attempt = 0;
  int64_t epoch = 0;
  std::vector<RankStatus> ranks;
  absl::Duration placed_at;  // monotonic
  bool start_sent = false;
  bool stop_sent = false;

  bool AllEnded() const;
  bool AllSucceeded() const;
  // Every rank is at least in `phase` of kPrepared, kRunning or kSucceeded.
  bool AllReached(RankPhase phase) const;
};

// The gang of the job's live attempt, of which nothing is known yet.
Gang NewGang(const Job& job, absl::Duration now);

// Takes a newer report over an older one; a rank never goes back, so repeated
// and late reports change nothing. True if something changed.
bool UpdateRank(RankStatus report, RankStatus& rank);

}  // namespace longspan::coordinator
