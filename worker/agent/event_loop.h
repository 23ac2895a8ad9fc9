// One thread that runs everything the agent does, in order: so the agent's
// state needs no locks. Other threads (sockets, stream, child watchers) only
// post to it.
//
// Post, After and Stop are thread-safe. Tasks must not block.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace longspan::worker {

class EventLoop {
 public:
  using Task = std::function<void()>;

  void Post(Task task) EXCLUDES(mu_);
  // Runs `task` once, `delay` from now.
  void After(absl::Duration delay, Task task) EXCLUDES(mu_);

  // Runs tasks until Stop(); what is posted later is dropped.
  void Run() EXCLUDES(mu_);
  void Stop() EXCLUDES(mu_);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // The next task that is due; an empty one when stopped.
  Task Next() EXCLUDES(mu_);

  Mutex mu_;
  CondVar changed_;
  bool stopped_ GUARDED_BY(mu_) = false;
  std::deque<Task> tasks_ GUARDED_BY(mu_);
  std::multimap<TimePoint, Task> timers_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
