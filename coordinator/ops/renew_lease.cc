#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {

absl::Status RenewLease(Core& core, int64_t connection,
                        const v1::RenewLease& message) {
  MutexLock lock(core.mu);
  const Worker* worker = SenderOf(core, connection);
  const bool renewed =
      worker != nullptr && core.workers.Renew(worker->name, connection,
                                              core.monotonic(), core.wall());
  if (!renewed) {
    return WithReason(
        absl::AbortedError("the lease of this stream ended: register again"),
        "LEASE_EXPIRED");
  }
  core.probe.OnHeartbeat(*worker);
  v1::CoordinatorMessage answer;
  answer.mutable_lease_renewed()->set_sequence(message.sequence());
  core.SendTo(worker->name, answer);
  return absl::OkStatus();
}

}  // namespace longspan::coordinator
