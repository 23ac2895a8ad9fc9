#include "tests/support/in_process_cluster/in_process_cluster.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/base/check.h"
#include "coordinator/background/job_advance.h"
#include "coordinator/background/lease_expiry.h"
#include "coordinator/background/retention.h"

namespace longspan::testing {
namespace {

std::string MakeTemporaryDirectory() {
  std::string path =
      (std::filesystem::temp_directory_path() / "longspan-XXXXXX").string();
  LONGSPAN_CHECK(::mkdtemp(path.data()) != nullptr) << path;
  return path;
}

// Different at every call, the same in every run.
std::function<std::string(size_t)> CountingBytes() {
  auto counter = std::make_shared<uint32_t>(0);
  return [counter](size_t bytes) {
    std::string text = std::to_string(++*counter);
    text.insert(0, bytes > text.size() ? bytes - text.size() : 0, '0');
    return text.substr(text.size() - bytes);
  };
}

}  // namespace

InProcessCluster::InProcessCluster(
    std::function<void(coordinator::CoreOptions&)> adjust)
    : log_directory_(MakeTemporaryDirectory()) {
  options_.random_bytes = CountingBytes();
  options_.progress_interval = absl::ZeroDuration();
  if (adjust) adjust(options_);
  logs_ = std::make_unique<coordinator::LogStore>(
      coordinator::LogStore::Options{log_directory_});
  Start();
}

InProcessCluster::~InProcessCluster() {
  core_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(log_directory_, ignored);
}

void InProcessCluster::Start() {
  core_ = std::make_unique<coordinator::Core>(
      options_,
      coordinator::Core::Dependencies{clock_, journal_, *logs_, metrics_});
  LONGSPAN_CHECK_OK(core_->Restore(journal_.Contents()));
}

FakeWorker& InProcessCluster::AddWorker(FakeWorkerOptions options) {
  workers_.push_back(std::make_unique<FakeWorker>(std::move(options)));
  LONGSPAN_CHECK_OK(workers_.back()->Connect(*core_));
  return *workers_.back();
}

FakeWorker& InProcessCluster::AddWorker(const std::string& name, int slots) {
  FakeWorkerOptions options;
  options.name = name;
  options.slots = slots;
  return AddWorker(std::move(options));
}

std::string InProcessCluster::Submit(const v1::JobSpec& spec,
                                     const std::string& request_id) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  absl::StatusOr<v1::CreateJobResponse> response =
      coordinator::CreateJob(*core_, request);
  LONGSPAN_CHECK_OK(response.status());
  return response->job().name();
}

void InProcessCluster::Settle() {
  bool moved = true;
  while (moved) {
    moved = false;
    for (auto& worker : workers_) moved |= worker->React();
  }
}

void InProcessCluster::RunDuties() {
  coordinator::LeaseExpiry(*core_).Run();
  coordinator::JobAdvance(*core_).Run();
  coordinator::Retention(*core_).Run();
}

void InProcessCluster::Advance(absl::Duration by) {
  const absl::Duration step = options_.leases.lease / 3;
  while (by > absl::ZeroDuration()) {
    clock_.Advance(std::min(step, by));
    by -= step;
    for (auto& worker : workers_) {
      // A closed or broken stream cannot renew; that is what is tested.
      if (worker->connected()) (void)worker->Renew();
    }
    RunDuties();
    Settle();
  }
}

void InProcessCluster::RestartCoordinator() {
  for (auto& worker : workers_) worker->Disconnect();
  core_.reset();
  Start();
}

void InProcessCluster::ReconnectAll() {
  for (auto& worker : workers_) {
    if (!worker->connected()) LONGSPAN_CHECK_OK(worker->Connect(*core_));
  }
}

v1::Job InProcessCluster::Get(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  absl::StatusOr<v1::Job> job = coordinator::GetJob(*core_, request);
  LONGSPAN_CHECK_OK(job.status());
  return *std::move(job);
}

std::vector<v1::JobEvent> InProcessCluster::Watch(const std::string& name,
                                                  const std::string& token) {
  v1::WatchJobRequest request;
  request.set_name(name);
  request.set_resume_token(token);
  auto stream = coordinator::WatchJob(*core_, request);
  LONGSPAN_CHECK_OK(stream.status());
  std::vector<v1::JobEvent> events;
  v1::JobEvent event;
  absl::Status end;
  while ((*stream)->Next(&event, &end) == coordinator::PullState::kItem) {
    events.push_back(event);
  }
  LONGSPAN_CHECK_OK(end);
  return events;
}

}  // namespace longspan::testing
