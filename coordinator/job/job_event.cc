#include "coordinator/job/job_event.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "coordinator/job/root_cause.h"

namespace longspan::coordinator {
namespace {

absl::Status Refuse(const Job& job, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat(
      job.name.value(), " is ", JobStateName(job.state), ": ", why));
}

bool IsOneOf(JobState state, std::initializer_list<JobState> states) {
  for (JobState allowed : states) {
    if (state == allowed) return true;
  }
  return false;
}

absl::Status RequireState(const Job& job,
                          std::initializer_list<JobState> states) {
  if (IsOneOf(job.state, states)) return absl::OkStatus();
  return Refuse(job, "the event does not belong to this state");
}

absl::Status RequireLive(const Job& job, int attempt) {
  const Attempt* live = job.LiveAttempt();
  if (live == nullptr) return Refuse(job, "no attempt is live");
  if (live->number == attempt) return absl::OkStatus();
  return Refuse(job, absl::StrCat("attempt ", attempt,
                                  " is not the live attempt ", live->number));
}

absl::Status RequireNoGang(const Job& job) {
  const Attempt* live = job.LiveAttempt();
  if (live == nullptr) return absl::OkStatus();
  return Refuse(job, absl::StrCat("attempt ", live->number, " is live"));
}

int LastAttempt(const Job& job) {
  return job.attempts.empty() ? 0 : job.attempts.back().number;
}

int64_t LastEpoch(const Job& job) {
  return job.attempts.empty() ? 0 : job.attempts.back().epoch;
}

absl::Status CheckPlacements(const Job& job,
                             const std::vector<Placement>& placements) {
  if (static_cast<int>(placements.size()) != job.demand.ranks) {
    return Refuse(job, absl::StrCat(placements.size(), " placements for ",
                                    job.demand.ranks, " ranks"));
  }
  std::set<std::pair<std::string, int>> slots;
  for (size_t i = 0; i < placements.size(); ++i) {
    const Placement& p = placements[i];
    if (p.rank != static_cast<int>(i)) {
      return Refuse(job, absl::StrCat("placement ", i, " is of rank ", p.rank));
    }
    if (!slots.insert({p.worker, p.slot}).second) {
      return Refuse(job, absl::StrCat("slot ", p.slot, " of ", p.worker,
                                      " is given twice"));
    }
  }
  return absl::OkStatus();
}

// One overload an event: may it be applied?

absl::Status Check(const Job& job, const JobCreated&) {
  return Refuse(job, "it exists already");
}

absl::Status Check(const Job& job, const GangPlaced& e) {
  RETURN_IF_ERROR(
      RequireState(job, {JobState::kPending, JobState::kRecovering}));
  RETURN_IF_ERROR(RequireNoGang(job));
  if (e.attempt != LastAttempt(job) + 1 || e.epoch <= LastEpoch(job)) {
    return Refuse(job,
                  absl::StrCat("attempt ", e.attempt, " of epoch ", e.epoch,
                               " does not follow attempt ", LastAttempt(job),
                               " of epoch ", LastEpoch(job)));
  }
  return CheckPlacements(job, e.placements);
}

absl::Status Check(const Job& job, const AttemptRunning& e) {
  RETURN_IF_ERROR(RequireState(job, {JobState::kStarting}));
  return RequireLive(job, e.attempt);
}

absl::Status Check(const Job& job, const RankFailed& e) {
  RETURN_IF_ERROR(RequireLive(job, e.attempt));
  if (e.rank < 0 || e.rank >= job.demand.ranks) {
    return Refuse(job, absl::StrCat("there is no rank ", e.rank));
  }
  for (const RankFailure& failure : job.LiveAttempt()->failures) {
    if (failure.rank == e.rank) {
      return Refuse(job, absl::StrCat("rank ", e.rank, " failed before"));
    }
  }
  return absl::OkStatus();
}

absl::Status Check(const Job& job, const CheckpointRecorded& e) {
  RETURN_IF_ERROR(RequireLive(job, e.attempt));
  if (e.step > job.checkpoint_step) return absl::OkStatus();
  return Refuse(job, absl::StrCat("checkpoint ", e.step, " is not newer than ",
                                  job.checkpoint_step));
}

absl::Status Check(const Job& job, const AttemptEnded& e) {
  RETURN_IF_ERROR(
      RequireState(job, {JobState::kRecovering, JobState::kCancelling}));
  return RequireLive(job, e.attempt);
}

absl::Status Check(const Job& job, const JobRequeued&) {
  RETURN_IF_ERROR(RequireState(job, {JobState::kRecovering}));
  return RequireNoGang(job);
}

absl::Status Check(const Job& job, const CancelRequested&) {
  return RequireState(job, {JobState::kPending, JobState::kStarting,
                            JobState::kRunning, JobState::kRecovering});
}

absl::Status Check(const Job& job, const JobSucceeded& e) {
  RETURN_IF_ERROR(
      RequireState(job, {JobState::kRunning, JobState::kCancelling}));
  return RequireLive(job, e.attempt);
}

absl::Status Check(const Job& job, const JobFailed& e) {
  RETURN_IF_ERROR(
      RequireState(job, {JobState::kPending, JobState::kRecovering}));
  if (e.error.empty()) return Refuse(job, "a failure needs its cause");
  return RequireNoGang(job);
}

absl::Status Check(const Job& job, const JobCancelled&) {
  RETURN_IF_ERROR(RequireState(job, {JobState::kCancelling}));
  return RequireNoGang(job);
}

absl::Status Check(const Job& job, const JobDeleted&) {
  if (IsFinal(job.state)) return absl::OkStatus();
  return Refuse(job, "only finished jobs are deleted; cancel it first");
}

// One overload an event: what it changes. CanApply holds.

void Change(Job& job, absl::Time time, const JobCreated& e) {
  job.kind = e.kind;
  job.spec = e.spec;
  job.spec_digest = e.spec_digest;
  job.demand = e.demand;
  job.request_id = e.request_id;
  job.create_time = time;
}

void Change(Job& job, absl::Time time, const GangPlaced& e) {
  Attempt attempt;
  attempt.number = e.attempt;
  attempt.epoch = e.epoch;
  attempt.secret = e.secret;
  attempt.placements = e.placements;
  attempt.start_time = time;
  attempt.checkpoint_at_start = job.checkpoint_step;
  job.attempts.push_back(std::move(attempt));
  if (job.attempts.size() > kMaxKeptAttempts) {
    job.attempts.erase(job.attempts.begin());
  }
  if (job.start_time == absl::InfiniteFuture()) job.start_time = time;
  job.state = JobState::kStarting;
  job.recovering_since = absl::InfiniteFuture();
  job.pending_note.clear();
}

void Change(Job& job, absl::Time, const AttemptRunning& e) {
  job.state = JobState::kRunning;
  job.LiveAttempt()->resumed_step = e.resumed_step;
}

void Change(Job& job, absl::Time, const RankFailed& e) {
  job.LiveAttempt()->failures.push_back({e.rank, e.code, e.error});
  if (job.state == JobState::kStarting || job.state == JobState::kRunning) {
    job.state = JobState::kRecovering;
  }
}

void Change(Job& job, absl::Time, const CheckpointRecorded& e) {
  job.checkpoint_step = e.step;
}

void Change(Job& job, absl::Time time, const AttemptEnded& e) {
  Attempt& attempt = *job.LiveAttempt();
  attempt.end_time = time;
  attempt.end_reason = e.reason;
  if (job.state != JobState::kRecovering) return;
  job.recovering_since = time;
  if (job.checkpoint_step > attempt.checkpoint_at_start) {
    job.failures_without_progress = 0;
  }
  if (!WasInterrupted(attempt.failures)) ++job.failures_without_progress;
}

void Change(Job& job, absl::Time, const JobRequeued& e) {
  job.state = JobState::kPending;
  job.recovering_since = absl::InfiniteFuture();
  job.pending_note = e.reason;
}

void Change(Job& job, absl::Time, const CancelRequested& e) {
  job.state = JobState::kCancelling;
  job.cancel_reason = e.reason;
  job.recovering_since = absl::InfiniteFuture();
}

void Change(Job& job, absl::Time time, const JobSucceeded& e) {
  job.LiveAttempt()->end_reason = "succeeded";
  job.LiveAttempt()->end_time = time;
  job.state = JobState::kSucceeded;
  job.end_time = time;
  job.result = e.result;
}

void Change(Job& job, absl::Time time, const JobFailed& e) {
  job.state = JobState::kFailed;
  job.end_time = time;
  job.error = e.error;
}

void Change(Job& job, absl::Time time, const JobCancelled&) {
  job.state = JobState::kCancelled;
  job.end_time = time;
  job.error = job.cancel_reason.empty()
                  ? "cancelled"
                  : absl::StrCat("cancelled: ", job.cancel_reason);
}

void Change(Job&, absl::Time, const JobDeleted&) {}

}  // namespace

const char* EventName(const JobEventBody& body) {
  static constexpr const char* kNames[] = {
      "JobCreated",         "GangPlaced",   "AttemptRunning", "RankFailed",
      "CheckpointRecorded", "AttemptEnded", "JobRequeued",    "CancelRequested",
      "JobSucceeded",       "JobFailed",    "JobCancelled",   "JobDeleted"};
  static_assert(std::size(kNames) == std::variant_size_v<JobEventBody>);
  return kNames[body.index()];
}

absl::Status CanApply(const Job* job, const JobEvent& event) {
  const bool creates = std::holds_alternative<JobCreated>(event.body);
  if (job == nullptr) {
    if (creates) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        EventName(event.body), ": there is no job ", event.job.value()));
  }
  absl::Status status =
      std::visit([&](const auto& e) { return Check(*job, e); }, event.body);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(EventName(event.body), ": ",
                                                  status.message()));
}

std::shared_ptr<const Job> Apply(const Job* job, const JobEvent& event,
                                 int64_t revision) {
  LONGSPAN_CHECK_OK(CanApply(job, event));
  if (std::holds_alternative<JobDeleted>(event.body)) return nullptr;
  auto next =
      job == nullptr ? std::make_shared<Job>() : std::make_shared<Job>(*job);
  if (job == nullptr) {
    next->name = event.job;
    next->create_revision = revision;
  }
  std::visit([&](const auto& e) { Change(*next, event.time, e); }, event.body);
  next->revision = revision;
  return next;
}

absl::StatusOr<JobEvent> Build(const Job& job, absl::Time time,
                               JobEventBody body) {
  JobEvent event{job.name, time, std::move(body)};
  RETURN_IF_ERROR(CanApply(&job, event));
  return event;
}

absl::StatusOr<JobEvent> BuildGangPlaced(const Job& job, absl::Time time,
                                         std::vector<Placement> placements,
                                         std::string secret) {
  return Build(job, time,
               GangPlaced{LastAttempt(job) + 1, LastEpoch(job) + 1,
                          std::move(secret), std::move(placements)});
}

}  // namespace longspan::coordinator
