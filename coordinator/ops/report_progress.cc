#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {
namespace {

// A newer complete checkpoint is progress that survives failures: journaled.
void RecordCheckpoint(Core& core, const Job& job, int64_t step)
    REQUIRES(core.mu) {
  if (step <= job.checkpoint_step) return;
  absl::StatusOr<JobEvent> event = Build(
      job, core.wall(), CheckpointRecorded{job.LiveAttempt()->number, step});
  if (event.ok()) (void)core.Commit({*std::move(event)});
}

}  // namespace

void ReportProgress(Core& core, int64_t connection,
                    const v1::RankReport& message) {
  MutexLock lock(core.mu);
  JobSnapshot job;
  if (!CheckSender(core, connection, message.key(), message.rank(), &job)) {
    return;
  }
  const v1::Progress& progress = message.progress();
  if (message.rank() == 0) {
    RecordCheckpoint(core, *job, progress.checkpoint_step());
  }
  if (core.progress.Update(job->name, message.key().attempt(), message.rank(),
                           progress, core.wall())) {
    core.notifier.Notify(job->name.value());
  }
}

}  // namespace longspan::coordinator
