#include "tests/support/queued_device/queued_stream.h"

#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::testing {
namespace {

// Shared by the event and the task that passes it.
struct Flag {
  Mutex mu;
  CondVar changed;
  bool passed GUARDED_BY(mu) = false;
};

class QueuedEvent : public kernels::Event {
 public:
  explicit QueuedEvent(std::shared_ptr<Flag> flag) : flag_(std::move(flag)) {}
  absl::StatusOr<bool> Passed() const override {
    MutexLock lock(flag_->mu);
    return flag_->passed;
  }
  const std::shared_ptr<Flag>& flag() const { return flag_; }

 private:
  const std::shared_ptr<Flag> flag_;
};

}  // namespace

QueuedStream::QueuedStream() : thread_([this] { Run(); }) {}

QueuedStream::~QueuedStream() {
  {
    MutexLock lock(mu_);
    ending_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void QueuedStream::Submit(Task task) {
  MutexLock lock(mu_);
  tasks_.push_back(std::move(task));
  changed_.NotifyAll();
}

absl::Status QueuedStream::Synchronize() {
  MutexLock lock(mu_);
  while (running_ || !tasks_.empty()) changed_.Wait(mu_);
  return failure_;
}

absl::Status QueuedStream::WaitFor(kernels::Stream& other) {
  ASSIGN_OR_RETURN(const std::unique_ptr<kernels::Event> event, other.Record());
  return WaitFor(*event);
}

absl::StatusOr<std::unique_ptr<kernels::Event>> QueuedStream::Record() {
  auto flag = std::make_shared<Flag>();
  Submit([flag] {
    MutexLock lock(flag->mu);
    flag->passed = true;
    flag->changed.NotifyAll();
    return absl::OkStatus();
  });
  return std::make_unique<QueuedEvent>(flag);
}

absl::Status QueuedStream::WaitFor(const kernels::Event& event) {
  const auto* queued = dynamic_cast<const QueuedEvent*>(&event);
  LONGSPAN_CHECK(queued != nullptr) << "an event of another backend";
  Submit([flag = queued->flag()] {
    MutexLock lock(flag->mu);
    while (!flag->passed) flag->changed.Wait(flag->mu);
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

void QueuedStream::Run() {
  MutexLock lock(mu_);
  for (;;) {
    while (!ending_ && tasks_.empty()) changed_.Wait(mu_);
    if (tasks_.empty()) return;
    const Task task = std::move(tasks_.front());
    tasks_.pop_front();
    running_ = true;
    mu_.Unlock();
    absl::Status status = task();
    mu_.Lock();
    running_ = false;
    if (failure_.ok()) failure_ = std::move(status);
    changed_.NotifyAll();
  }
}

}  // namespace longspan::testing

extern "C" void longspan_emulated_enqueue(void* stream, void (*run)(void*),
                                          void* context) {
  static_cast<longspan::testing::QueuedStream*>(stream)->Submit([run, context] {
    run(context);
    return absl::OkStatus();
  });
}
