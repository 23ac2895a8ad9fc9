// What running jobs reported, as curves over their steps. In memory only, and
// bounded: a curve has at most 256 points, and only the jobs that ran last have
// curves. Looks at the core's progress several times a second, which is as
// often as watchers are told of it.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "common/base/mutex.h"
#include "coordinator/background/duty.h"
#include "coordinator/job/job_name.h"
#include "coordinator/status_page/thinned_curve.h"
#include "longspan/v1/progress.pb.h"

namespace longspan::coordinator {

class Core;

struct JobCurves {
  ThinnedCurve loss;
  ThinnedCurve validation_loss;
  ThinnedCurve tokens_per_second;
};

class ProgressHistory final : public Duty {
 public:
  // `core` outlives the history.
  explicit ProgressHistory(Core& core, size_t most_jobs = 1000)
      : core_(core), most_jobs_(most_jobs) {}

  const char* name() const override;
  absl::Duration period() const override;
  void Run() override;

  // Empty if nothing is known of the job.
  std::optional<JobCurves> Find(const JobName& job) const;

 private:
  struct Entry {
    JobCurves curves;
    double validation_loss = 0;  // the newest
  };

  // The newest progress of jobs with a gang, and of those that had one the
  // last time: what came at the end counts.
  std::map<JobName, v1::Progress> NewestProgress();
  Entry& EntryOf(const JobName& job) REQUIRES(mu_);

  Core& core_;
  const size_t most_jobs_;
  std::set<JobName> live_;  // of Run

  mutable Mutex mu_;
  std::map<JobName, Entry> entries_ GUARDED_BY(mu_);
  std::deque<JobName> order_ GUARDED_BY(mu_);  // oldest first
};

}  // namespace longspan::coordinator
