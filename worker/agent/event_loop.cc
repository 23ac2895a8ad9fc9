#include "worker/agent/event_loop.h"

#include <algorithm>
#include <utility>

namespace longspan::worker {

void EventLoop::Post(Task task) {
  MutexLock lock(mu_);
  tasks_.push_back(std::move(task));
  changed_.NotifyOne();
}

void EventLoop::After(absl::Duration delay, Task task) {
  const auto when =
      std::chrono::steady_clock::now() +
      absl::ToChronoNanoseconds(std::min(delay, absl::Hours(24 * 365)));
  MutexLock lock(mu_);
  timers_.emplace(when, std::move(task));
  changed_.NotifyOne();
}

void EventLoop::Run() {
  while (const Task task = Next()) task();
}

void EventLoop::Stop() {
  MutexLock lock(mu_);
  stopped_ = true;
  changed_.NotifyOne();
}

EventLoop::Task EventLoop::Next() {
  MutexLock lock(mu_);
  while (!stopped_) {
    const bool due = !timers_.empty() &&
                     timers_.begin()->first <= std::chrono::steady_clock::now();
    if (due) return std::move(timers_.extract(timers_.begin()).mapped());
    if (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      return task;
    }
    if (timers_.empty()) {
      changed_.Wait(mu_);
    } else {
      changed_.WaitUntil(mu_, timers_.begin()->first);
    }
  }
  return nullptr;
}

}  // namespace longspan::worker
