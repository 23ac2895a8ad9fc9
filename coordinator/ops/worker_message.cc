#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {

int64_t OpenConnection(Core& core, std::shared_ptr<WorkerLink> link) {
  MutexLock lock(core.mu);
  const int64_t connection = core.next_connection++;
  core.links[connection] = std::move(link);
  return connection;
}

void CloseConnection(Core& core, int64_t connection) {
  MutexLock lock(core.mu);
  const Worker* worker = SenderOf(core, connection);
  if (worker != nullptr) core.workers.Disconnect(worker->name, connection);
  core.links.erase(connection);
  core.Reschedule();
}

const Worker* SenderOf(Core& core, int64_t connection) {
  for (const auto& [name, worker] : core.workers.workers()) {
    if (worker.connection == connection) return &worker;
  }
  return nullptr;
}

void Refuse(Core& core, int64_t connection, const absl::Status& why,
            const v1::AttemptKey& key) {
  auto link = core.links.find(connection);
  if (link == core.links.end()) return;
  link->second->Send(
      MakeRefused(RefusalReason(why), std::string(why.message()), key));
}

bool CheckSender(Core& core, int64_t connection, const v1::AttemptKey& key,
                 int rank, JobSnapshot* job) {
  *job = core.jobs.Find(JobName(key.job()));
  absl::Status status = CheckKey(job->get(), key);
  if (status.ok()) {
    const Worker* worker = SenderOf(core, connection);
    const auto& placements = (*job)->LiveAttempt()->placements;
    const bool placed = worker != nullptr && rank >= 0 &&
                        rank < static_cast<int>(placements.size()) &&
                        placements[rank].worker == worker->name;
    if (placed) return true;
    status = absl::AbortedError("the rank is not placed on this worker");
  }
  Refuse(core, connection, status, key);
  return false;
}

absl::Status HandleWorkerMessage(Core& core, int64_t connection,
                                 const v1::WorkerMessage& message) {
  switch (message.message_case()) {
    case v1::WorkerMessage::kRegister:
      return RegisterWorker(core, connection, message.register_());
    case v1::WorkerMessage::kRenewLease:
      return RenewLease(core, connection, message.renew_lease());
    case v1::WorkerMessage::kAssignmentStatus:
      RecordAssignmentStatus(core, connection, message.assignment_status());
      break;
    case v1::WorkerMessage::kRankReport:
      ReportProgress(core, connection, message.rank_report());
      break;
    case v1::WorkerMessage::kRendezvous:
      Rendezvous(core, connection, message.rendezvous());
      break;
    case v1::WorkerMessage::kTokens:
      AppendTokens(core, connection, message.tokens());
      break;
    case v1::WorkerMessage::kLog:
      AppendLog(core, connection, message.log());
      break;
    case v1::WorkerMessage::kDraining:
      DrainWorker(core, connection, message.draining());
      break;
    case v1::WorkerMessage::MESSAGE_NOT_SET:
      // A newer worker may say more than this coordinator understands.
      break;
  }
  return absl::OkStatus();
}

}  // namespace longspan::coordinator
