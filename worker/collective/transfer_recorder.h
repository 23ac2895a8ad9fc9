// The counters of a group, behind its own mutex. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

class TransferRecorder {
 public:
  explicit TransferRecorder(const Clock& clock = SystemClock::Get())
      : clock_(clock) {}

  void OnLaunch(const TrafficTag& tag) {
    MutexLock lock(mu_);
    ++counters_[tag].launches;
  }
  void OnSent(const TrafficTag& tag, int64_t bytes) {
    MutexLock lock(mu_);
    counters_[tag].bytes_sent += bytes;
  }
  void OnReceived(const TrafficTag& tag, int64_t bytes) {
    MutexLock lock(mu_);
    counters_[tag].bytes_received += bytes;
  }
  void OnExposed(const TrafficTag& tag, absl::Duration time) {
    MutexLock lock(mu_);
    auto& exposed = counters_[tag].exposed_time;
    exposed = exposed.value_or(absl::ZeroDuration()) + time;
  }
  TransferCounters Snapshot() const {
    MutexLock lock(mu_);
    return counters_;
  }
  const Clock& clock() const { return clock_; }

 private:
  const Clock& clock_;
  mutable Mutex mu_;
  TransferCounters counters_ GUARDED_BY(mu_);
};

// The thread stands still for this traffic until the end of the scope.
class ExposedScope {
 public:
  ExposedScope(TransferRecorder* recorder, const TrafficTag& tag)
      : recorder_(recorder), tag_(tag), start_(recorder->clock().Monotonic()) {}
  ~ExposedScope() {
    recorder_->OnExposed(tag_, recorder_->clock().Monotonic() - start_);
  }
  ExposedScope(const ExposedScope&) = delete;
  ExposedScope& operator=(const ExposedScope&) = delete;

 private:
  TransferRecorder* const recorder_;
  const TrafficTag tag_;
  const absl::Duration start_;
};

}  // namespace longspan::worker
