#include "coordinator/background/duty_runner.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "common/log/log.h"

namespace longspan::coordinator {
namespace {

void RunGuarded(Duty& duty) {
  try {
    duty.Run();
  } catch (const std::exception& e) {
    LogError("exception in a background duty",
             {{"duty", duty.name()}, {"what", e.what()}});
  }
}

}  // namespace

DutyRunner::DutyRunner(const Clock& clock,
                       std::vector<std::unique_ptr<Duty>> duties)
    : clock_(clock) {
  for (std::unique_ptr<Duty>& duty : duties) {
    const absl::Duration first = clock.Monotonic() + duty->period();
    duties_.push_back({std::move(duty), first});
  }
  thread_ = std::thread([this] { Run(); });
}

DutyRunner::~DutyRunner() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    stop_.NotifyAll();
  }
  thread_.join();
}

void DutyRunner::Run() {
  while (true) {
    const absl::Duration idle = RunDue();
    MutexLock lock(mu_);
    if (stopping_) return;
    stop_.WaitFor(mu_, idle);
    if (stopping_) return;
  }
}

absl::Duration DutyRunner::RunDue() {
  absl::Duration idle = absl::Seconds(1);
  for (Scheduled& scheduled : duties_) {
    absl::Duration now = clock_.Monotonic();
    if (now >= scheduled.next) {
      RunGuarded(*scheduled.duty);
      now = clock_.Monotonic();
      scheduled.next = now + scheduled.duty->period();
    }
    idle = std::min(idle, scheduled.next - now);
  }
  return std::max(idle, absl::Milliseconds(1));
}

}  // namespace longspan::coordinator
