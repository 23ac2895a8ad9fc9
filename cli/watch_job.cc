#include "cli/watch_job.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "cli/client.h"
#include "cli/event_view.h"
#include "cli/format_job.h"
#include "cli/report_error.h"

namespace longspan::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstWait(100);
constexpr std::chrono::milliseconds kLongestWait(2000);

class Watch {
 public:
  Watch(const Client& client, std::string job, std::string token,
        double reconnect_seconds, EventView* view)
      : client_(client),
        job_(std::move(job)),
        token_(std::move(token)),
        patience_(reconnect_seconds),
        view_(view) {}

  ExitCode Run() {
    last_contact_ = Clock::now();
    while (true) {
      grpc::Status status = Stream();
      if (ended_) return result_;
      if (IsCompacted(status)) {
        status = StartOver();
        if (ended_) return result_;
        if (status.ok()) continue;
      }
      if (!ShouldRetry(status)) return ReportCallError(client_, status);
      view_->OnDisconnected(status.ok() ? "the stream ended"
                                        : status.error_message());
      std::this_thread::sleep_for(wait_);
      wait_ = std::min(wait_ * 2, kLongestWait);
    }
  }

 private:
  grpc::Status Stream() {
    v1::WatchJobRequest request;
    request.set_name(job_);
    request.set_resume_token(token_);
    auto context = client_.NewStreamContext();
    auto reader = client_.stub().WatchJob(context.get(), request);
    v1::JobEvent event;
    while (!ended_ && reader->Read(&event)) OnEvent(event);
    if (ended_) context->TryCancel();
    return reader->Finish();
  }

  void OnEvent(const v1::JobEvent& event) {
    last_contact_ = Clock::now();
    wait_ = kFirstWait;
    if (!event.resume_token().empty()) token_ = event.resume_token();
    view_->OnEvent(event);
    if (event.has_state_changed()) OnState(event.state_changed().state());
    if (event.has_deleted()) End(ExitCode::kNotFound);
  }

  void OnState(v1::JobState state) {
    if (state == v1::SUCCEEDED) End(ExitCode::kOk);
    if (state == v1::FAILED) End(ExitCode::kJobFailed);
    if (state == v1::CANCELLED) End(ExitCode::kCancelled);
  }

  void End(ExitCode code) {
    ended_ = true;
    result_ = code;
  }

  static bool IsCompacted(const grpc::Status& status) {
    return status.error_code() == grpc::StatusCode::OUT_OF_RANGE;
  }

  // The token is too old: take the job as it is now and go on from there.
  grpc::Status StartOver() {
    v1::GetJobRequest request;
    request.set_name(job_);
    v1::JobEvent event;
    auto context = client_.NewContext();
    grpc::Status status = client_.stub().GetJob(context.get(), request,
                                                event.mutable_state_changed());
    if (!status.ok()) return status;
    event.set_job(job_);
    event.set_resume_token(std::to_string(event.state_changed().revision()));
    OnEvent(event);
    return status;
  }

  bool ShouldRetry(const grpc::Status& status) const {
    std::chrono::duration<double> silent = Clock::now() - last_contact_;
    bool transient =
        status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE;
    return transient && silent < patience_;
  }

  const Client& client_;
  const std::string job_;
  std::string token_;
  const std::chrono::duration<double> patience_;
  EventView* const view_;
  Clock::time_point last_contact_;
  std::chrono::milliseconds wait_ = kFirstWait;
  bool ended_ = false;
  ExitCode result_ = ExitCode::kOk;
};

}  // namespace

ExitCode WatchJob(const Client& client, const std::string& job,
                  std::string resume_token, double reconnect_seconds,
                  EventView* view) {
  return Watch(client, job, std::move(resume_token), reconnect_seconds, view)
      .Run();
}

}  // namespace longspan::cli
