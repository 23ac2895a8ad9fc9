#include "coordinator/ops/core.h"

#include <sys/random.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/log/log.h"
#include "coordinator/ops/errors.h"

namespace longspan::coordinator {
namespace {

// The newest; 0: none yet.
int AttemptOf(const JobSnapshot& job) {
  if (job == nullptr || job->attempts.empty()) return 0;
  return job->attempts.back().number;
}

}  // namespace

std::string SystemRandomBytes(size_t bytes) {
  std::string random(bytes, '\0');
  LONGSPAN_CHECK_EQ(::getrandom(random.data(), bytes, 0),
                    static_cast<ssize_t>(bytes));
  return random;
}

Core::Core(CoreOptions core_options, const Dependencies& dependencies)
    : options(std::move(core_options)),
      clock(dependencies.clock),
      logs(dependencies.logs),
      journal(dependencies.journal),
      probe(dependencies.metrics),
      workers(options.leases),
      history(options.history_events),
      progress(options.progress_interval) {
  LONGSPAN_CHECK(options.random_bytes != nullptr);
}

absl::Status Core::Restore(const JournalContents& contents) {
  MutexLock lock(mu);
  history.SetCompacted(contents.compacted_revision);
  for (const JournalEntry& entry : contents.entries) {
    absl::StatusOr<JobSnapshot> after = jobs.Apply(entry.event, entry.revision);
    if (!after.ok()) {
      return absl::DataLossError(
          absl::StrCat("the journal does not replay: event ", entry.revision,
                       ": ", after.status().message()));
    }
    if (*after == nullptr) deleted_[entry.revision] = entry.event.job;
    history.Add({entry.revision, entry.event.time, entry.event.job, *after});
  }
  jobs.SkipTo(contents.last_revision);
  for (const auto& [name, job] : jobs.jobs()) {
    if (job->LiveAttempt() != nullptr) RestoreGang(*job);
  }
  std::vector<JobName> names;
  for (const auto& [name, job] : jobs.jobs()) names.push_back(name);
  for (const JobName& name : names) Settle(name);
  Reschedule();
  probe.OnJobs(jobs);
  return absl::OkStatus();
}

void Core::RestoreGang(const Job& job) {
  const Attempt& attempt = *job.LiveAttempt();
  Gang gang = NewGang(job, monotonic());
  if (job.state == JobState::kRunning) {
    for (RankStatus& rank : gang.ranks) rank.phase = RankPhase::kRunning;
  }
  for (const RankFailure& failure : attempt.failures) {
    gang.ranks[failure.rank] =
        RankStatus{RankPhase::kFailed, failure.code, failure.error, 0, ""};
  }
  for (const Placement& placement : attempt.placements) {
    workers.Expect(
        placement.worker, placement.slot,
        SlotUse{job.name, attempt.number, attempt.epoch, placement.rank},
        monotonic());
  }
  gangs[job.name] = std::move(gang);
}

absl::Status Core::Commit(const std::vector<JobEvent>& events) {
  RETURN_IF_ERROR(jobs.CanApplyAll(events));
  std::vector<JournalEntry> entries;
  int64_t revision = jobs.revision();
  for (const JobEvent& event : events) entries.push_back({++revision, event});
  journal_status = journal.Append(entries);
  if (!journal_status.ok()) {
    LogError("the journal cannot be written",
             {{"error", journal_status.ToString()}});
    return WithReason(
        absl::UnavailableError(absl::StrCat("the journal cannot be written: ",
                                            journal_status.message())),
        "JOURNAL_UNAVAILABLE");
  }
  for (const JournalEntry& entry : entries) Remember(entry);
  probe.OnJobs(jobs);
  return absl::OkStatus();
}

void Core::Remember(const JournalEntry& entry) {
  absl::StatusOr<JobSnapshot> after = jobs.Apply(entry.event, entry.revision);
  LONGSPAN_CHECK_OK(after.status());
  LogInfo(EventName(entry.event.body),
          {{"job", entry.event.job.value()},
           {"attempt", AttemptOf(*after)},
           {"revision", entry.revision},
           {"state", *after ? JobStateName((*after)->state) : "deleted"}});
  if (*after == nullptr) {
    progress.Forget(entry.event.job);
    deleted_[entry.revision] = entry.event.job;
  }
  history.Add({entry.revision, entry.event.time, entry.event.job, *after});
  notifier.Notify(entry.event.job.value());
}

void Core::CompactJournal() {
  std::vector<JobName> names;
  const auto end = deleted_.upper_bound(history.compacted_revision());
  for (auto it = deleted_.begin(); it != end; ++it) names.push_back(it->second);
  if (names.empty()) return;
  const absl::Status status =
      journal.Compact(names, history.compacted_revision());
  if (status.ok()) {
    deleted_.erase(deleted_.begin(), end);
  } else {
    LogWarning("the journal cannot be compacted",
               {{"error", status.ToString()}});
  }
}

Gang* Core::FindGang(const JobName& name) {
  auto found = gangs.find(name);
  return found == gangs.end() ? nullptr : &found->second;
}

WorkerLink* Core::LinkOf(const std::string& name) {
  const Worker* worker = workers.Find(name);
  if (worker == nullptr) return nullptr;
  auto found = links.find(worker->connection);
  return found == links.end() ? nullptr : found->second.get();
}

void Core::SendTo(const std::string& worker,
                  const v1::CoordinatorMessage& message) {
  // Without a stream the worker hears it when it registers again.
  if (WorkerLink* link = LinkOf(worker)) link->Send(message);
}

}  // namespace longspan::coordinator
