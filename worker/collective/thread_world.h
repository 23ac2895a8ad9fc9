// The meeting place of thread groups: operations that ranks have started and
// that wait for the others. Internal to thread_group.
//
// An operation is carried out by the last of its participants to arrive, with
// the mutex released; the others only wait. So no rank reads another's memory
// after its Wait() has returned, and works may be waited for in any order.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "kernels/api/tensor_view.h"

namespace longspan::worker {

// What one rank brings to an operation.
struct ThreadContribution {
  std::vector<kernels::ConstTensorView> send;
  std::vector<kernels::TensorView> receive;
};

// Where an operation happens: the k-th collective of the group, or the k-th
// message from one rank to another.
struct ThreadMeetingKey {
  int from = -1;
  int to = -1;  // both -1: a collective
  int64_t sequence = 0;

  friend bool operator<(const ThreadMeetingKey& a, const ThreadMeetingKey& b) {
    return std::tie(a.from, a.to, a.sequence) <
           std::tie(b.from, b.to, b.sequence);
  }
};

struct ThreadMeeting {
  std::string operation;  // all participants must bring the same one
  std::map<int, ThreadContribution> contributions;  // by rank
  bool running = false;
  bool done = false;
};

class ThreadWorld {
 public:
  // Moves the data of a complete meeting.
  using Carry = std::function<absl::Status(
      const std::map<int, ThreadContribution>& contributions)>;

  explicit ThreadWorld(int size) : size_(size) {}

  int size() const { return size_; }

  // Adds a contribution; the participant that completes the meeting runs
  // `carry`.
  absl::StatusOr<std::shared_ptr<ThreadMeeting>> Join(
      const ThreadMeetingKey& key, int rank, int participants,
      const std::string& operation, ThreadContribution contribution,
      const Carry& carry);

  // Waits until the meeting is over. After a failure no other rank touches
  // this rank's memory any more.
  absl::Status Wait(ThreadMeeting& meeting, int rank, const std::string& what,
                    std::chrono::steady_clock::time_point deadline);

  void Break(absl::Status reason);

 private:
  void BreakLocked(absl::Status reason) REQUIRES(mu_);
  std::string MissingRanks(const ThreadMeeting& meeting) const REQUIRES(mu_);

  const int size_;

  Mutex mu_;
  CondVar changed_;
  absl::Status broken_ GUARDED_BY(mu_);
  std::map<ThreadMeetingKey, std::shared_ptr<ThreadMeeting>> open_
      GUARDED_BY(mu_);
};

}  // namespace longspan::worker
