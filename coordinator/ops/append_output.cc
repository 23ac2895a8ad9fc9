// Tokens and log lines of executors.
#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {

void AppendTokens(Core& core, int64_t connection, const v1::Tokens& message) {
  MutexLock lock(core.mu);
  JobSnapshot job;
  // Only rank 0 generates.
  if (!CheckSender(core, connection, message.key(), 0, &job)) return;
  if (core.tokens.Append(job->name, message)) {
    core.notifier.Notify(job->name.value());
  }
}

void AppendLog(Core& core, int64_t connection, const v1::LogData& message) {
  const JobName name(message.key().job());
  {
    MutexLock lock(core.mu);
    // The last words of an attempt that just ended are still welcome.
    const JobSnapshot job = core.jobs.Find(name);
    if (job == nullptr || SenderOf(core, connection) == nullptr ||
        job->attempts.empty() ||
        job->attempts.back().epoch != message.key().epoch()) {
      return;
    }
  }
  if (absl::Status status = core.logs.Append(name, message.data());
      !status.ok()) {
    LogWarning("a job's log cannot be written",
               {{"job", name.value()}, {"error", status.ToString()}});
    return;
  }
  core.notifier.Notify(name.value());
}

}  // namespace longspan::coordinator
