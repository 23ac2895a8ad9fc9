#include <optional>

#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/ops/worker_sender.h"

namespace longspan::coordinator {
namespace {

constexpr size_t kMaxErrorBytes = 2000;

std::optional<RankPhase> PhaseOf(v1::AssignmentStatus::State state) {
  switch (state) {
    case v1::AssignmentStatus::PREPARED:
      return RankPhase::kPrepared;
    case v1::AssignmentStatus::RUNNING:
      return RankPhase::kRunning;
    case v1::AssignmentStatus::SUCCEEDED:
      return RankPhase::kSucceeded;
    case v1::AssignmentStatus::FAILED:
      return RankPhase::kFailed;
    case v1::AssignmentStatus::STOPPED:
      return RankPhase::kStopped;
    default:
      return std::nullopt;
  }
}

absl::StatusCode CodeOf(int code) {
  if (code <= 0 || code > 16) return absl::StatusCode::kUnknown;
  return static_cast<absl::StatusCode>(code);
}

RankStatus StatusOf(RankPhase phase, const v1::AssignmentStatus& message) {
  RankStatus status;
  status.phase = phase;
  if (phase == RankPhase::kFailed) status.code = CodeOf(message.error_code());
  if (phase == RankPhase::kStopped) status.code = absl::StatusCode::kCancelled;
  status.error = message.error().substr(0, kMaxErrorBytes);
  status.resumed_step = message.resumed_step();
  status.result = message.result().SerializeAsString();
  return status;
}

// A rank of an attempt that is over has ended: its slot is free at last, and
// its status is acknowledged.
void ReleaseStale(Core& core, const Worker& sender,
                  const v1::AssignmentStatus& message) REQUIRES(core.mu) {
  const SlotUse use = {JobName(message.key().job()), message.key().attempt(),
                       message.key().epoch(), message.rank()};
  for (const auto& [slot, held] : std::map<int, SlotUse>(sender.uses)) {
    if (held == use) core.workers.Release(sender.name, slot, use);
  }
  core.SendTo(sender.name, MakeStop(message.key(), "the attempt is over",
                                    absl::ZeroDuration()));
  core.Reschedule();
}

bool IsLive(Core& core, const v1::AttemptKey& key) REQUIRES(core.mu) {
  return CheckKey(core.jobs.Find(JobName(key.job())).get(), key).ok();
}

}  // namespace

void RecordAssignmentStatus(Core& core, int64_t connection,
                            const v1::AssignmentStatus& message) {
  const std::optional<RankPhase> phase = PhaseOf(message.state());
  if (!phase) return;
  MutexLock lock(core.mu);
  const Worker* sender = SenderOf(core, connection);
  const bool ended = HasEnded(*phase);
  if (sender != nullptr && ended && !IsLive(core, message.key())) {
    ReleaseStale(core, *sender, message);
    return;
  }
  JobSnapshot job;
  if (!CheckSender(core, connection, message.key(), message.rank(), &job)) {
    return;
  }
  if (*phase == RankPhase::kFailed) {
    LogWarning("rank failed", {{"job", message.key().job()},
                               {"attempt", message.key().attempt()},
                               {"rank", message.rank()},
                               {"worker", sender->name},
                               {"error", message.error()}});
  }
  core.ReportRank(job->name, message.rank(), StatusOf(*phase, message), ended);
  if (ended) core.Reschedule();
}

}  // namespace longspan::coordinator
