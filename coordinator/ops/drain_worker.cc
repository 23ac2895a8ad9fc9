#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {

void DrainWorker(Core& core, int64_t connection, const v1::Draining& message) {
  MutexLock lock(core.mu);
  const Worker* worker = SenderOf(core, connection);
  if (worker == nullptr) return;
  LogInfo("worker drains",
          {{"worker", worker->name}, {"reason", message.reason()}});
  core.workers.Drain(worker->name);
  core.Reschedule();
}

}  // namespace longspan::coordinator
