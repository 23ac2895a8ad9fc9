// How gangs start, go on and end: the half of Core that talks to workers.
#include <set>
#include <utility>

#include "common/base/check.h"
#include "common/log/log.h"
#include "coordinator/job/root_cause.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/plan_spec.h"
#include "coordinator/schedule/schedule.h"
#include "longspan/v1/plan.pb.h"
#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {
namespace {

std::set<std::string> WorkersOf(const Attempt& attempt) {
  std::set<std::string> workers;
  for (const Placement& placement : attempt.placements) {
    workers.insert(placement.worker);
  }
  return workers;
}

}  // namespace

bool Core::CommitNext(const Job& job, JobEventBody body) {
  absl::StatusOr<JobEvent> event = Build(job, wall(), std::move(body));
  LONGSPAN_CHECK_OK(event.status());
  return Commit({*std::move(event)}).ok();
}

void Core::Settle(const JobName& name) {
  while (JobSnapshot job = jobs.Find(name)) {
    Gang* gang = FindGang(name);
    const GangTime now = {monotonic(), wall()};
    std::optional<JobEventBody> next = NextEvent(*job, gang, now, options.gang);
    if (!next) {
      if (gang != nullptr) SendDue(*job, *gang);
      return;
    }
    if (!CommitNext(*job, *std::move(next))) return;
    const JobSnapshot after = jobs.Find(name);
    if (gang != nullptr && after->LiveAttempt() == nullptr) {
      EndGang(*job, *gang);
    }
  }
}

void Core::SendDue(const Job& job, Gang& gang) {
  switch (NextMessage(job, gang)) {
    case GangMessage::kNone:
      return;
    case GangMessage::kStart:
      gang.start_sent = true;
      for (const std::string& worker : WorkersOf(*job.LiveAttempt())) {
        SendStart(job, worker);
      }
      return;
    case GangMessage::kStop:
      gang.stop_sent = true;
      SendStop(job, gang);
      return;
  }
}

void Core::SendStart(const Job& job, const std::string& worker) {
  SendTo(worker, MakeStart(job.name, *job.LiveAttempt()));
}

void Core::SendStop(const Job& job, const Gang&) {
  v1::AttemptKey key;
  WriteKey(job.name, job.attempts.back(), &key);
  const v1::CoordinatorMessage stop =
      MakeStop(key, StopReason(job), options.assignment.stop_grace);
  for (const std::string& worker : WorkersOf(job.attempts.back())) {
    SendTo(worker, stop);
  }
}

void Core::EndGang(const Job& before, const Gang& gang) {
  // Acknowledges the last statuses; ends whatever a lost rank left behind.
  SendStop(before, gang);
  rendezvous.Forget(before.name);
  gangs.erase(before.name);
}

void Core::ReportRank(const JobName& name, int rank, RankStatus status,
                      bool slot_is_free) {
  Gang* gang = FindGang(name);
  const JobSnapshot job = jobs.Find(name);
  if (gang == nullptr || job == nullptr) return;
  const Attempt& attempt = *job->LiveAttempt();
  if (slot_is_free) {
    const Placement& placement = attempt.placements[rank];
    workers.Release(placement.worker, placement.slot,
                    SlotUse{name, attempt.number, attempt.epoch, rank});
  }
  if (UpdateRank(std::move(status), gang->ranks[rank])) Settle(name);
}

void Core::SendAssignment(const Job& job, const Placement& placement) {
  const AssignmentPlan plan = PlanAssignment(*this, job);
  SendTo(placement.worker,
         MakeAssignment(job, *job.LiveAttempt(), placement,
                        {&plan.plan, plan.model_uri, plan.checkpoint_uri},
                        options.assignment));
}

void Core::StartGang(const Job& job) {
  const Attempt& attempt = *job.LiveAttempt();
  gangs[job.name] = NewGang(job, monotonic());
  for (const Placement& placement : attempt.placements) {
    workers.Use(
        placement.worker, placement.slot,
        SlotUse{job.name, attempt.number, attempt.epoch, placement.rank});
  }
  const AssignmentPlan plan = PlanAssignment(*this, job);
  const AssignmentContext context = {&plan.plan, plan.model_uri,
                                     plan.checkpoint_uri};
  for (const Placement& placement : attempt.placements) {
    SendTo(placement.worker, MakeAssignment(job, attempt, placement, context,
                                            options.assignment));
  }
}

void Core::Reschedule() {
  pending.clear();
  CoordinatorProbe::Waiting waiting;
  for (ScheduleDecision& decision :
       Schedule(QueueOrder(jobs), workers.workers())) {
    const Job& job = *decision.job;
    if (decision.placements.empty()) {
      ++waiting[job.demand.priority][decision.reason_kind];
      pending[job.name] = {std::move(decision.pending_reason),
                           decision.queue_position};
      continue;
    }
    absl::StatusOr<JobEvent> placed = BuildGangPlaced(
        job, wall(), std::move(decision.placements), options.random_bytes(32));
    LONGSPAN_CHECK_OK(placed.status());
    if (!Commit({*std::move(placed)}).ok()) break;
    if (!job.attempts.empty()) {
      const auto cause = RootCause(job.attempts.back().failures);
      probe.OnRestart(cause ? cause->code : absl::StatusCode::kUnknown);
    }
    StartGang(*jobs.Find(job.name));
  }
  probe.OnQueue(std::move(waiting));
  probe.OnWorkers(workers.workers());
}

}  // namespace longspan::coordinator
