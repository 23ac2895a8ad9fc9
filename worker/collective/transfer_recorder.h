// The counters of a group, behind its own mutex. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

class TransferRecorder {
 public:
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
  void OnWait(const TrafficTag& tag, absl::Duration duration) {
    MutexLock lock(mu_);
    counters_[tag].wait_time += duration;
  }
  TransferCounters Snapshot() const {
    MutexLock lock(mu_);
    return counters_;
  }

 private:
  mutable Mutex mu_;
  TransferCounters counters_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
