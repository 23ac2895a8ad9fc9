#include "tests/support/in_process_cluster/fake_worker.h"

#include <utility>

#include "common/base/check.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/worker_operations.h"

namespace longspan::testing {

class FakeWorker::Link final : public coordinator::WorkerLink {
 public:
  void Send(const v1::CoordinatorMessage& message) override {
    MutexLock lock(mu_);
    inbox_.push_back(message);
  }

  void Close(const absl::Status& reason) override {
    MutexLock lock(mu_);
    closed_ = reason.ok() ? absl::CancelledError("closed") : reason;
  }

  std::vector<v1::CoordinatorMessage> Take() {
    MutexLock lock(mu_);
    return std::exchange(inbox_, {});
  }

  absl::Status closed() {
    MutexLock lock(mu_);
    return closed_;
  }

 private:
  Mutex mu_;
  std::vector<v1::CoordinatorMessage> inbox_ GUARDED_BY(mu_);
  absl::Status closed_ GUARDED_BY(mu_);
};

FakeWorker::FakeWorker(FakeWorkerOptions options)
    : options_(std::move(options)) {}

v1::WorkerMessage FakeWorker::MakeRegister() const {
  v1::WorkerMessage message;
  v1::Register& out = *message.mutable_register_();
  out.set_worker(options_.name);
  out.set_incarnation("life-" + std::to_string(incarnation_));
  v1::WorkerInfo& info = *out.mutable_info();
  info.set_build(options_.build);
  info.set_api_version_min(1);
  info.set_api_version_max(1);
  info.set_hostname("host-" + options_.name);
  for (const std::string& root : options_.roots) info.add_roots(root);
  for (int slot = 0; slot < options_.slots; ++slot) {
    v1::Device& device = *info.add_devices();
    device.set_slot(slot);
    device.set_kind("cpu");
    device.set_threads(options_.threads);
    device.set_memory_bytes(options_.memory_bytes);
    device.set_instruction_set("avx512");
  }
  for (const Executor& executor : executors_) {
    v1::RunningRank& running = *out.add_running();
    *running.mutable_key() = executor.key;
    running.set_rank(executor.rank);
    running.set_slot(executor.slot);
  }
  return message;
}

absl::Status FakeWorker::Connect(coordinator::Core& core) {
  core_ = &core;
  link_ = std::make_shared<Link>();
  connection_ = coordinator::OpenConnection(core, link_);
  absl::Status status = Send(MakeRegister());
  if (!status.ok()) return status;
  // As a daemon does: the newest status of every rank, once more.
  for (const Executor& executor : std::vector<Executor>(executors_)) {
    Report(executor.key, executor.rank, executor.state);
  }
  return absl::OkStatus();
}

void FakeWorker::Disconnect() {
  if (core_ != nullptr) coordinator::CloseConnection(*core_, connection_);
  core_ = nullptr;
}

void FakeWorker::Restart() {
  Disconnect();
  ++incarnation_;
  executors_.clear();
}

absl::Status FakeWorker::Send(const v1::WorkerMessage& message) {
  LONGSPAN_CHECK(core_ != nullptr) << name() << " is not connected";
  return coordinator::HandleWorkerMessage(*core_, connection_, message);
}

absl::Status FakeWorker::Renew() {
  v1::WorkerMessage message;
  message.mutable_renew_lease()->set_sequence(1);
  return Send(message);
}

void FakeWorker::Report(const v1::AttemptKey& key, int rank,
                        v1::AssignmentStatus::State state,
                        const std::string& error, int code) {
  v1::WorkerMessage message;
  v1::AssignmentStatus& status = *message.mutable_assignment_status();
  *status.mutable_key() = key;
  status.set_rank(rank);
  status.set_state(state);
  status.set_error(error);
  status.set_error_code(code);
  if (state == v1::AssignmentStatus::SUCCEEDED && rank == 0) {
    status.mutable_result()->mutable_train()->set_steps(10);
  }
  LONGSPAN_CHECK_OK(Send(message));
}

void FakeWorker::Report(int rank, v1::AssignmentStatus::State state,
                        const std::string& error, int code) {
  executor(rank).state = state;
  Report(executor(rank).key, rank, state, error, code);
}

void FakeWorker::Progress(int rank, int64_t step, int64_t checkpoint_step,
                          double fraction) {
  v1::WorkerMessage message;
  v1::RankReport& report = *message.mutable_rank_report();
  *report.mutable_key() = executor(rank).key;
  report.set_rank(rank);
  report.mutable_progress()->set_done(step);
  report.mutable_progress()->set_unit("steps");
  report.mutable_progress()->set_checkpoint_step(checkpoint_step);
  report.mutable_progress()->set_fraction(fraction);
  LONGSPAN_CHECK_OK(Send(message));
}

FakeWorker::Executor& FakeWorker::executor(int rank) {
  for (auto it = executors_.rbegin(); it != executors_.rend(); ++it) {
    if (it->rank == rank) return *it;
  }
  LONGSPAN_CHECK(false) << name() << " has no rank " << rank;
  return executors_.front();
}

std::vector<v1::CoordinatorMessage> FakeWorker::Take() {
  return link_ == nullptr ? std::vector<v1::CoordinatorMessage>()
                          : link_->Take();
}

absl::Status FakeWorker::closed() const {
  return link_ == nullptr ? absl::OkStatus() : link_->closed();
}

bool FakeWorker::React() {
  if (core_ == nullptr) return false;
  const std::vector<v1::CoordinatorMessage> messages = Take();
  for (const v1::CoordinatorMessage& message : messages) Handle(message);
  return !messages.empty();
}

void FakeWorker::Handle(const v1::CoordinatorMessage& message) {
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kAssignment:
      return OnAssignment(message.assignment());
    case v1::CoordinatorMessage::kStart:
      return OnStart(message.start().key());
    case v1::CoordinatorMessage::kStop:
      return OnStop(message.stop().key());
    case v1::CoordinatorMessage::kRegistered:
      for (const v1::RunningRank& rank : message.registered().stop()) {
        OnStop(rank.key());
      }
      return;
    case v1::CoordinatorMessage::kRefused:
      refusals_.push_back(message.refused());
      return OnStop(message.refused().key());
    default:
      return;
  }
}

void FakeWorker::OnAssignment(const v1::Assignment& assignment) {
  executors_.push_back({assignment.key(), assignment.rank(), assignment.slot(),
                        v1::AssignmentStatus::PREPARED});
  Report(assignment.key(), assignment.rank(), v1::AssignmentStatus::PREPARED);
}

void FakeWorker::OnStart(const v1::AttemptKey& key) {
  for (Executor& executor : executors_) {
    if (executor.key.epoch() != key.epoch() ||
        executor.key.job() != key.job() ||
        executor.state != v1::AssignmentStatus::PREPARED) {
      continue;
    }
    executor.state = v1::AssignmentStatus::RUNNING;
    Report(executor.key, executor.rank, executor.state);
  }
}

void FakeWorker::OnStop(const v1::AttemptKey& key) {
  std::vector<Executor> kept, stopped;
  for (const Executor& executor : executors_) {
    const bool same =
        executor.key.job() == key.job() && executor.key.epoch() == key.epoch();
    (same ? stopped : kept).push_back(executor);
  }
  executors_ = kept;
  for (const Executor& executor : stopped) {
    // Statuses that were reported are acknowledged by the stop.
    if (executor.state == v1::AssignmentStatus::PREPARED ||
        executor.state == v1::AssignmentStatus::RUNNING) {
      Report(executor.key, executor.rank, v1::AssignmentStatus::STOPPED);
    }
  }
}

}  // namespace longspan::testing
