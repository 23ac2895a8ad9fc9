#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/ops/job_to_wire.h"
#include "coordinator/ops/wire_time.h"

namespace longspan::coordinator {
namespace {

// Which jobs a watch follows: one, or all of a tenant.
struct WatchFilter {
  std::string job;     // empty: all
  std::string prefix;  // "tenants/default/jobs/"

  bool Matches(const JobName& name) const {
    if (!job.empty()) return name.value() == job;
    return name.value().compare(0, prefix.size(), prefix) == 0;
  }
};

absl::StatusOr<WatchFilter> ParseFilter(const std::string& name) {
  if (name.size() > 2 && name.compare(name.size() - 2, 2, "/-") == 0) {
    absl::StatusOr<JobNameParts> parts =
        ParseJobName(name.substr(0, name.size() - 1) + "x");
    if (!parts.ok()) return parts.status();
    return WatchFilter{"", name.substr(0, name.size() - 1)};
  }
  absl::StatusOr<JobNameParts> parts = ParseJobName(name);
  if (!parts.ok()) return parts.status();
  return WatchFilter{name, ""};
}

class JobWatch final : public PullStream<v1::JobEvent> {
 public:
  JobWatch(Core& core, WatchFilter filter, int64_t revision)
      : core_(core),
        filter_(std::move(filter)),
        revision_(revision),
        last_sent_(core.monotonic()) {}

  PullState Next(v1::JobEvent* item, absl::Status* end) override {
    MutexLock lock(core_.mu);
    item->Clear();
    if (core_.stopping) {
      *end = WithReason(absl::UnavailableError("the coordinator is stopping"),
                        "STOPPING");
      return PullState::kEnd;
    }
    if (revision_ < core_.history.compacted_revision()) {
      *end = Compacted();
      return PullState::kEnd;
    }
    if (finished_) return PullState::kEnd;
    if (NextStateChange(item)) return PullState::kItem;
    if (IsOver()) return PullState::kEnd;
    if (NextProgress(item) || NextBookmark(item)) return PullState::kItem;
    return PullState::kWait;
  }

  std::string Topic() const override { return filter_.job; }

 private:
  absl::Status Compacted() const REQUIRES(core_.mu) {
    return WithReason(
        absl::OutOfRangeError(absl::StrCat(
            "resume token ", revision_, " is too old: events up to ",
            core_.history.compacted_revision(),
            " are gone; list the jobs again and watch from there")),
        "RESUME_TOKEN_COMPACTED",
        {{"compacted", absl::StrCat(core_.history.compacted_revision())}});
  }

  void Stamp(v1::JobEvent* item, absl::Time time) REQUIRES(core_.mu) {
    item->set_resume_token(absl::StrCat(revision_));
    WriteTime(time, item->mutable_time());
    last_sent_ = core_.monotonic();
  }

  bool NextStateChange(v1::JobEvent* item) REQUIRES(core_.mu) {
    while (const HistoryEntry* entry = core_.history.After(revision_)) {
      revision_ = entry->revision;
      if (!filter_.Matches(entry->job)) continue;
      Stamp(item, entry->time);
      item->set_job(entry->job.value());
      if (entry->after == nullptr) {
        item->mutable_deleted();
        finished_ = !filter_.job.empty();
      } else {
        *item->mutable_state_changed() = JobToWire(core_, *entry->after);
        finished_ = !filter_.job.empty() && IsFinal(entry->after->state);
      }
      return true;
    }
    return false;
  }

  // A single job that ended before the resume token.
  bool IsOver() REQUIRES(core_.mu) {
    if (filter_.job.empty()) return false;
    const JobSnapshot job = core_.jobs.Find(JobName(filter_.job));
    return job == nullptr || IsFinal(job->state);
  }

  bool NextProgress(v1::JobEvent* item) REQUIRES(core_.mu) {
    for (const auto& [name, progress] : core_.progress.all()) {
      const JobSnapshot job = core_.jobs.Find(name);
      if (!filter_.Matches(name) || IsFinal(job->state)) continue;
      int64_t& seen = seen_progress_[name];
      if (progress.version == seen) continue;
      seen = progress.version;
      Stamp(item, core_.wall());
      item->set_job(name.value());
      *item->mutable_progress() = progress.progress;
      return true;
    }
    return false;
  }

  bool NextBookmark(v1::JobEvent* item) REQUIRES(core_.mu) {
    const absl::Duration silent = core_.monotonic() - last_sent_;
    if (silent < core_.options.bookmark_interval) return false;
    Stamp(item, core_.wall());
    item->set_job(filter_.job);
    item->mutable_bookmark();
    return true;
  }

  Core& core_;
  const WatchFilter filter_;
  // One caller at a time.
  int64_t revision_;  // of the newest event considered
  bool finished_ = false;
  absl::Duration last_sent_;
  std::map<JobName, int64_t> seen_progress_;
};

absl::StatusOr<int64_t> ParseResumeToken(const std::string& token,
                                         int64_t oldest, int64_t newest) {
  if (token.empty()) return oldest;
  int64_t revision = 0;
  if (!absl::SimpleAtoi(token, &revision) || revision < 0 ||
      revision > newest) {
    return BadRequest("INVALID_RESUME_TOKEN",
                      {{"resume_token", "not a token of this coordinator"}});
  }
  return revision;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PullStream<v1::JobEvent>>> WatchJob(
    Core& core, const v1::WatchJobRequest& request) {
  absl::StatusOr<WatchFilter> filter = ParseFilter(request.name());
  if (!filter.ok()) return WithReason(filter.status(), "INVALID_JOB_NAME");
  MutexLock lock(core.mu);
  absl::StatusOr<int64_t> revision =
      ParseResumeToken(request.resume_token(),
                       core.history.compacted_revision(), core.jobs.revision());
  if (!revision.ok()) return revision.status();
  if (!filter->job.empty() && core.jobs.Find(JobName(filter->job)) == nullptr &&
      request.resume_token().empty()) {
    return JobNotFound(request.name());
  }
  return std::make_unique<JobWatch>(core, *std::move(filter), *revision);
}

}  // namespace longspan::coordinator
