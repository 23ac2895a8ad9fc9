#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"

namespace longspan::coordinator {
namespace {

constexpr int64_t kChunkBytes = 64 << 10;

class LogReader final : public PullStream<v1::LogChunk> {
 public:
  LogReader(Core& core, JobName job, int64_t offset, bool follow)
      : core_(core), job_(std::move(job)), offset_(offset), follow_(follow) {}

  PullState Next(v1::LogChunk* item, absl::Status* end) override {
    // Asked before reading, so that nothing written before the end is missed.
    const bool more = follow_ && StillRuns(end);
    absl::StatusOr<std::string> data =
        core_.logs.Read(job_, offset_, kChunkBytes);
    if (!data.ok()) {
      *end = WithReason(data.status(), "LOG_UNREADABLE");
      return PullState::kEnd;
    }
    if (data->empty()) return more ? PullState::kWait : PullState::kEnd;
    item->set_offset(offset_);
    offset_ += static_cast<int64_t>(data->size());
    item->set_data(*std::move(data));
    return PullState::kItem;
  }

  std::string Topic() const override { return job_.value(); }

 private:
  bool StillRuns(absl::Status* end) {
    MutexLock lock(core_.mu);
    if (core_.stopping) {
      *end = WithReason(absl::UnavailableError("the coordinator is stopping"),
                        "STOPPING");
      return false;
    }
    const JobSnapshot job = core_.jobs.Find(job_);
    return job != nullptr && !IsFinal(job->state);
  }

  Core& core_;
  const JobName job_;
  int64_t offset_;
  const bool follow_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PullStream<v1::LogChunk>>> ReadJobLog(
    Core& core, const v1::ReadJobLogRequest& request) {
  absl::StatusOr<JobNameParts> parts = ParseJobName(request.name());
  if (!parts.ok()) return WithReason(parts.status(), "INVALID_JOB_NAME");
  if (request.offset() < 0) {
    return BadRequest(
        "INVALID_OFFSET",
        {{"offset", absl::StrCat(request.offset(), " is negative")}});
  }
  MutexLock lock(core.mu);
  if (core.jobs.Find(JobName(request.name())) == nullptr) {
    return JobNotFound(request.name());
  }
  return std::make_unique<LogReader>(core, JobName(request.name()),
                                     request.offset(), request.follow());
}

}  // namespace longspan::coordinator
