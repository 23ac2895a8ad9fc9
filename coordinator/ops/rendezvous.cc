#include "absl/status/statusor.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {
namespace {

v1::CoordinatorMessage Reply(const v1::AttemptKey& key, int rank, int64_t id) {
  v1::CoordinatorMessage message;
  *message.mutable_rendezvous()->mutable_key() = key;
  message.mutable_rendezvous()->set_rank(rank);
  message.mutable_rendezvous()->set_id(id);
  return message;
}

void SendAnswers(Core& core, const v1::AttemptKey& key,
                 const std::vector<RendezvousAnswer>& answers)
    REQUIRES(core.mu) {
  for (const RendezvousAnswer& answer : answers) {
    v1::CoordinatorMessage message =
        Reply(key, answer.asker.rank, answer.asker.id);
    message.mutable_rendezvous()->set_value(answer.value);
    core.SendTo(answer.asker.worker, message);
  }
}

void Set(Core& core, const std::string& worker,
         const v1::RendezvousRequest& request) REQUIRES(core.mu) {
  const v1::AttemptKey& key = request.key();
  absl::StatusOr<std::vector<RendezvousAnswer>> answers =
      core.rendezvous.Set(JobName(key.job()), key.epoch(), request.set().key(),
                          request.set().value());
  v1::CoordinatorMessage done = Reply(key, request.rank(), request.id());
  if (!answers.ok()) {
    done.mutable_rendezvous()->set_error(
        std::string(answers.status().message()));
  }
  core.SendTo(worker, done);
  if (answers.ok()) SendAnswers(core, key, *answers);
}

}  // namespace

void Rendezvous(Core& core, int64_t connection,
                const v1::RendezvousRequest& request) {
  MutexLock lock(core.mu);
  JobSnapshot job;
  if (!CheckSender(core, connection, request.key(), request.rank(), &job)) {
    return;
  }
  const std::string worker = SenderOf(core, connection)->name;
  if (request.has_set()) return Set(core, worker, request);
  SendAnswers(
      core, request.key(),
      core.rendezvous.Get(job->name, request.key().epoch(), request.get(),
                          {worker, request.rank(), request.id()}));
}

}  // namespace longspan::coordinator
