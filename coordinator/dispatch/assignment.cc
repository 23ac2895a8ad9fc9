#include "coordinator/dispatch/assignment.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {
namespace {

void WriteDuration(absl::Duration from, google::protobuf::Duration* to) {
  const int64_t nanos = absl::ToInt64Nanoseconds(from);
  to->set_seconds(nanos / 1000000000);
  to->set_nanos(static_cast<int32_t>(nanos % 1000000000));
}

}  // namespace

void WriteKey(const JobName& job, const Attempt& attempt, v1::AttemptKey* key) {
  key->set_job(job.value());
  key->set_attempt(attempt.number);
  key->set_epoch(attempt.epoch);
}

v1::CoordinatorMessage MakeAssignment(const Job& job, const Attempt& attempt,
                                      const Placement& placement,
                                      const AssignmentContext& context,
                                      const AssignmentOptions& options) {
  v1::CoordinatorMessage message;
  v1::Assignment& out = *message.mutable_assignment();
  WriteKey(job.name, attempt, out.mutable_key());
  LONGSPAN_CHECK(out.mutable_spec()->ParseFromString(*job.spec)) << job.name;
  *out.mutable_plan() = *context.plan;
  out.set_rank(placement.rank);
  out.set_slot(placement.slot);
  out.set_rendezvous_secret(attempt.secret);
  WriteDuration(options.rendezvous_timeout, out.mutable_rendezvous_timeout());
  WriteDuration(options.collective_timeout, out.mutable_collective_timeout());
  out.set_model_uri(context.model_uri);
  out.set_checkpoint_uri(context.checkpoint_uri);
  return message;
}

v1::CoordinatorMessage MakeStart(const JobName& job, const Attempt& attempt) {
  v1::CoordinatorMessage message;
  WriteKey(job, attempt, message.mutable_start()->mutable_key());
  return message;
}

v1::CoordinatorMessage MakeStop(const v1::AttemptKey& key,
                                const std::string& reason,
                                absl::Duration grace) {
  v1::CoordinatorMessage message;
  *message.mutable_stop()->mutable_key() = key;
  message.mutable_stop()->set_reason(reason);
  WriteDuration(grace, message.mutable_stop()->mutable_grace());
  return message;
}

v1::CoordinatorMessage MakeRefused(const std::string& reason,
                                   const std::string& text,
                                   const v1::AttemptKey& key) {
  v1::CoordinatorMessage message;
  message.mutable_refused()->set_reason(reason);
  message.mutable_refused()->set_message(text);
  *message.mutable_refused()->mutable_key() = key;
  return message;
}

absl::Status CheckKey(const Job* job, const v1::AttemptKey& key) {
  if (job == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no job ", key.job().substr(0, 200)));
  }
  const Attempt* live = job->LiveAttempt();
  if (live != nullptr && live->number == key.attempt() &&
      live->epoch == key.epoch()) {
    return absl::OkStatus();
  }
  std::string now = "no attempt is live";
  if (live != nullptr) {
    now = absl::StrCat("attempt ", live->number, " of epoch ", live->epoch,
                       " is live");
  }
  return absl::AbortedError(absl::StrCat(key.job(), " attempt ", key.attempt(),
                                         " of epoch ", key.epoch(),
                                         " is stale: ", now));
}

std::string RefusalReason(const absl::Status& status) {
  return status.code() == absl::StatusCode::kNotFound ? "UNKNOWN_ATTEMPT"
                                                      : "STALE_EPOCH";
}

}  // namespace longspan::coordinator
