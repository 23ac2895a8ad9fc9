#include "coordinator/dispatch/next_events.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/units.h"
#include "coordinator/job/root_cause.h"

namespace longspan::coordinator {
namespace {

using MaybeEvent = std::optional<JobEventBody>;

bool IsRecorded(const Attempt& attempt, int rank) {
  return std::any_of(
      attempt.failures.begin(), attempt.failures.end(),
      [&](const RankFailure& failure) { return failure.rank == rank; });
}

RankFailed FailureOf(const Gang& gang, int rank) {
  const RankStatus& status = gang.ranks[rank];
  RankFailed event{gang.attempt, rank, status.code, status.error};
  if (event.code == absl::StatusCode::kOk) {
    event.code = absl::StatusCode::kCancelled;
  }
  if (event.error.empty()) event.error = "stopped without being asked to";
  return event;
}

// A rank that ended badly and is not in the journal yet. Ranks that were asked
// to stop may stop.
MaybeEvent NewFailure(const Job& job, const Gang& gang) {
  const bool stopping = job.state == JobState::kRecovering;
  for (int rank = 0; rank < static_cast<int>(gang.ranks.size()); ++rank) {
    const RankPhase phase = gang.ranks[rank].phase;
    const bool bad = phase == RankPhase::kFailed || phase == RankPhase::kLost ||
                     (phase == RankPhase::kStopped && !stopping);
    if (bad && !IsRecorded(*job.LiveAttempt(), rank)) {
      return FailureOf(gang, rank);
    }
  }
  return std::nullopt;
}

MaybeEvent LateStart(const Gang& gang, const GangTime& now,
                     const GangTimeouts& timeouts) {
  if (now.monotonic - gang.placed_at < timeouts.start) return std::nullopt;
  for (int rank = 0; rank < static_cast<int>(gang.ranks.size()); ++rank) {
    if (gang.ranks[rank].phase >= RankPhase::kRunning) continue;
    return RankFailed{
        gang.attempt, rank, absl::StatusCode::kDeadlineExceeded,
        absl::StrCat("did not start within ", FormatElapsed(timeouts.start))};
  }
  return std::nullopt;
}

JobSucceeded SuccessOf(const Gang& gang) {
  return JobSucceeded{gang.attempt, std::make_shared<const std::string>(
                                        gang.ranks.front().result)};
}

MaybeEvent WhileStarting(const Job& job, const Gang& gang, const GangTime& now,
                         const GangTimeouts& timeouts) {
  if (MaybeEvent failure = NewFailure(job, gang)) return failure;
  if (!gang.AllReached(RankPhase::kRunning)) {
    return LateStart(gang, now, timeouts);
  }
  int64_t resumed = 0;
  for (const RankStatus& rank : gang.ranks) {
    resumed = std::max(resumed, rank.resumed_step);
  }
  return AttemptRunning{gang.attempt, resumed};
}

MaybeEvent WhileRunning(const Job& job, const Gang& gang) {
  if (gang.AllSucceeded()) return SuccessOf(gang);
  return NewFailure(job, gang);
}

MaybeEvent WhileStopping(const Job& job, const Gang& gang) {
  if (job.state == JobState::kRecovering) {
    if (MaybeEvent failure = NewFailure(job, gang)) return failure;
  } else if (gang.AllSucceeded()) {
    return SuccessOf(gang);
  }
  if (!gang.AllEnded()) return std::nullopt;
  const std::string reason = DescribeFailures(job.LiveAttempt()->failures);
  return AttemptEnded{gang.attempt, reason.empty() ? StopReason(job) : reason};
}

std::string GiveUpReason(const Job& job) {
  const Attempt& last = job.attempts.back();
  if (job.failures_without_progress < 2) return last.end_reason;
  return absl::StrCat(last.end_reason, " (gave up after ",
                      job.failures_without_progress,
                      " attempts without a newer checkpoint)");
}

// A job that recovers, after its gang is gone.
MaybeEvent AfterAttempt(const Job& job, const GangTime& now,
                        const GangTimeouts& timeouts) {
  const std::optional<RankFailure> cause =
      RootCause(job.attempts.back().failures);
  if ((cause && IsPermanent(cause->code)) ||
      job.failures_without_progress >= job.demand.max_failures) {
    return JobFailed{GiveUpReason(job)};
  }
  if (now.wall - job.recovering_since < timeouts.replacement) {
    return std::nullopt;
  }
  return JobRequeued{absl::StrCat("no replacement was found within ",
                                  FormatElapsed(timeouts.replacement))};
}

}  // namespace

std::optional<JobEventBody> NextEvent(const Job& job, const Gang* gang,
                                      const GangTime& now,
                                      const GangTimeouts& timeouts) {
  switch (job.state) {
    case JobState::kStarting:
      return WhileStarting(job, *gang, now, timeouts);
    case JobState::kRunning:
      return WhileRunning(job, *gang);
    case JobState::kRecovering:
      if (gang != nullptr) return WhileStopping(job, *gang);
      return AfterAttempt(job, now, timeouts);
    case JobState::kCancelling:
      if (gang != nullptr) return WhileStopping(job, *gang);
      return JobCancelled{};
    case JobState::kPending:
    case JobState::kSucceeded:
    case JobState::kFailed:
    case JobState::kCancelled:
      return std::nullopt;
  }
  return std::nullopt;
}

GangMessage NextMessage(const Job& job, const Gang& gang) {
  const bool stops =
      job.state == JobState::kRecovering || job.state == JobState::kCancelling;
  if (stops && !gang.stop_sent) return GangMessage::kStop;
  if (job.state == JobState::kStarting && !gang.start_sent &&
      gang.AllReached(RankPhase::kPrepared)) {
    return GangMessage::kStart;
  }
  return GangMessage::kNone;
}

std::string StopReason(const Job& job) {
  if (job.state == JobState::kCancelling) {
    return job.cancel_reason.empty()
               ? "cancelled"
               : absl::StrCat("cancelled: ", job.cancel_reason);
  }
  if (!job.attempts.empty() && !job.attempts.back().failures.empty()) {
    return DescribeFailures(job.attempts.back().failures);
  }
  return "the attempt is over";
}

}  // namespace longspan::coordinator
