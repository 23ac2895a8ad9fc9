#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/log/log.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/ops/job_operations.h"

namespace longspan::coordinator {
namespace {

absl::Status FailureOf(const Job& job) {
  const absl::Status status =
      job.state == JobState::kCancelled
          ? absl::CancelledError(job.error)
          : absl::AbortedError(
                absl::StrCat(job.name.value(), " failed: ", job.error));
  return WithReason(status, "GENERATE_FAILED", {{"job", job.name.value()}});
}

// First the job's name, then tokens and prefill progress as they come, last
// what the result says.
class GenerateStream final : public PullStream<v1::GenerateResponse> {
 public:
  GenerateStream(Core& core, JobName job) : core_(core), job_(std::move(job)) {}

  PullState Next(v1::GenerateResponse* item, absl::Status* end) override {
    MutexLock lock(core_.mu);
    item->Clear();
    if (done_) return PullState::kEnd;
    if (!named_) {
      named_ = true;
      item->set_job(job_.value());
      return PullState::kItem;
    }
    if (core_.stopping) {
      *end = WithReason(absl::UnavailableError("the coordinator is stopping"),
                        "STOPPING", {{"job", job_.value()}});
      return PullState::kEnd;
    }
    if (NextToken(item) || NextProgress(item)) return PullState::kItem;
    const JobSnapshot job = core_.jobs.Find(job_);
    if (job == nullptr) {
      *end = JobNotFound(job_.value());
      return PullState::kEnd;
    }
    if (!IsFinal(job->state)) return PullState::kWait;
    return Finish(*job, item, end);
  }

  void Cancelled() override {
    {
      MutexLock lock(core_.mu);
      if (core_.stopping || done_) return;
    }
    v1::CancelJobRequest request;
    request.set_name(job_.value());
    request.set_reason("the caller of Generate went away");
    absl::StatusOr<v1::Job> cancelled = CancelJob(core_, request);
    if (cancelled.ok()) return;
    LogDebug("a generate job was over before its caller",
             {{"job", job_.value()}});
  }

  std::string Topic() const override { return job_.value(); }

 private:
  bool NextToken(v1::GenerateResponse* item) REQUIRES(core_.mu) {
    const auto* tokens = core_.tokens.Find(job_);
    if (tokens == nullptr || sent_ >= tokens->size()) return false;
    WriteToken((*tokens)[sent_], item->mutable_token());
    ++sent_;
    return true;
  }

  static void WriteToken(const v1::GeneratedTokenData& from,
                         v1::GeneratedToken* to) {
    to->set_id(from.id());
    to->set_text(from.text());
    if (from.has_log_probability()) {
      to->set_log_probability(from.log_probability());
    }
  }

  bool NextProgress(v1::GenerateResponse* item) REQUIRES(core_.mu) {
    const JobProgress* progress = core_.progress.Find(job_);
    if (progress == nullptr || progress->version == seen_progress_) {
      return false;
    }
    seen_progress_ = progress->version;
    *item->mutable_progress() = progress->progress;
    return true;
  }

  // Tokens that were lost with an earlier coordinator are in the result.
  bool NextTokenOfResult(const v1::GenerateResult& result,
                         v1::GenerateResponse* item) {
    if (sent_ >= static_cast<size_t>(result.token_ids_size())) return false;
    item->mutable_token()->set_id(result.token_ids(static_cast<int>(sent_)));
    // Byte-level tokens: one byte each.
    if (result.text().size() == static_cast<size_t>(result.token_ids_size())) {
      item->mutable_token()->set_text(result.text().substr(sent_, 1));
    }
    ++sent_;
    return true;
  }

  PullState Finish(const Job& job, v1::GenerateResponse* item,
                   absl::Status* end) {
    if (job.state != JobState::kSucceeded) {
      done_ = true;
      *end = FailureOf(job);
      return PullState::kEnd;
    }
    v1::JobResult result;
    if (job.result != nullptr) (void)result.ParseFromString(*job.result);
    if (NextTokenOfResult(result.generate(), item)) return PullState::kItem;
    done_ = true;
    v1::GenerateDone& done = *item->mutable_done();
    done.set_finish_reason(result.generate().finish_reason());
    *done.mutable_usage() = result.generate().usage();
    return PullState::kItem;
  }

  Core& core_;
  const JobName job_;
  // One caller at a time.
  bool named_ = false;
  bool done_ = false;
  size_t sent_ = 0;
  int64_t seen_progress_ = 0;
};

absl::Status CheckReserved(const v1::GenerateRequest& request) {
  std::vector<FieldViolation> violations;
  if (!request.session().empty()) {
    violations.push_back({"session", "sessions are not supported yet"});
  }
  if (!request.adapter().empty()) {
    violations.push_back({"adapter", "adapters are not supported yet"});
  }
  if (violations.empty()) return absl::OkStatus();
  return BadRequest("UNSUPPORTED_FIELD", violations);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PullStream<v1::GenerateResponse>>> Generate(
    Core& core, const v1::GenerateRequest& request) {
  RETURN_IF_ERROR(CheckReserved(request));
  v1::CreateJobRequest create;
  create.set_parent(request.parent());
  create.set_request_id(request.request_id());
  v1::JobSpec& spec = *create.mutable_spec();
  *spec.mutable_generate() = request.generate();
  *spec.mutable_resources() = request.resources();
  spec.set_priority(request.priority());
  ASSIGN_OR_RETURN(v1::CreateJobResponse created, CreateJob(core, create));
  return std::make_unique<GenerateStream>(core, JobName(created.job().name()));
}

}  // namespace longspan::coordinator
