// The newest progress of running jobs. In memory only: progress is reported
// again, state is journaled. Not thread-safe; the core guards it.
#pragma once

#include <cstdint>
#include <map>

#include "absl/time/time.h"
#include "coordinator/job/job_name.h"
#include "longspan/v1/progress.pb.h"

namespace longspan::coordinator {

struct JobProgress {
  v1::Progress progress;
  // Grows with every change that watchers should see.
  int64_t version = 0;
  absl::Time shown_at = absl::InfinitePast();
  // Where the attempt began, for the estimate of the remaining time.
  int attempt = 0;
  double first_fraction = 0;
  absl::Time first_time;
};

class ProgressBoard {
 public:
  explicit ProgressBoard(absl::Duration interval) : interval_(interval) {}

  // Rank 0's progress is the job's; other ranks raise the memory figures.
  // True if watchers should look.
  bool Update(const JobName& job, int attempt, int rank,
              const v1::Progress& progress, absl::Time now);

  // Null if nothing was reported.
  const JobProgress* Find(const JobName& job) const;

  const std::map<JobName, JobProgress>& all() const { return board_; }

  void Forget(const JobName& job) { board_.erase(job); }

 private:
  const absl::Duration interval_;
  std::map<JobName, JobProgress> board_;
};

}  // namespace longspan::coordinator
