// Mutex, MutexLock and CondVar over the standard library, with clang's
// thread-safety attributes. Use these instead of absl::Mutex, whose
// synchronisation Debian's build hides from the thread sanitizer.
//
//   MutexLock lock(mu_);
//   while (queue_.empty()) ready_.Wait(mu_);
//
// Waits may wake without reason: always wait in a loop on the condition.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"
#include "common/base/thread_annotations.h"

namespace longspan {

class LONGSPAN_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ACQUIRE() { mu_.lock(); }
  void Unlock() RELEASE() { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class LONGSPAN_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mu) ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() RELEASE() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

class CondVar {
 public:
  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // All three release `mu` while waiting and hold it again on return.
  void Wait(Mutex& mu) REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }

  // Returns false if `timeout` passed first. Infinite timeouts are allowed.
  bool WaitFor(Mutex& mu, absl::Duration timeout) REQUIRES(mu) {
    // Longer waits would overflow std::chrono's clocks.
    constexpr auto kLongest = std::chrono::hours(24 * 365);
    auto bounded = absl::ToChronoNanoseconds(timeout);
    if (bounded > kLongest) bounded = kLongest;
    return WaitUntil(mu, std::chrono::steady_clock::now() + bounded);
  }

  // Returns false if `deadline` passed first.
  bool WaitUntil(Mutex& mu, std::chrono::steady_clock::time_point deadline)
      REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    const std::cv_status status = cv_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }

  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace longspan
