// What waits to be sent to the coordinator, the urgent first.
//
// Lease renewals overtake everything; logs overtake nothing. The queue is
// bounded by what may be lost: a newer report of a rank replaces the one that
// waits, and of logs and tokens the oldest go first when their share is full.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "longspan/v1/worker_service.pb.h"

namespace longspan::worker {

enum class Urgency { kLease, kControl, kTokens, kReport, kLog };

class OutgoingQueue {
 public:
  static constexpr size_t kTokenBytes = size_t{16} << 20;
  static constexpr size_t kLogBytes = size_t{1} << 20;

  // A waiting message of the same urgency and (non-empty) `replaces` key gives
  // up its place.
  void Push(Urgency urgency, v1::WorkerMessage message,
            const std::string& replaces = "");

  std::optional<v1::WorkerMessage> Pop();

  // A new session begins: renewals and control messages belonged to the last
  // one and are sent anew by the agent; tokens, reports and logs stay.
  void StartSession();

  bool empty() const;
  // Messages that had to give way since the last call.
  int64_t TakeDropped();

 private:
  struct Entry {
    v1::WorkerMessage message;
    std::string replaces;
    size_t bytes = 0;
  };
  struct Lane {
    std::deque<Entry> entries;
    size_t bytes = 0;
    size_t limit = 0;  // 0: none
  };

  Lane& LaneOf(Urgency urgency);
  void Trim(Lane* lane);

  Lane lanes_[5] = {{}, {}, {{}, 0, kTokenBytes}, {}, {{}, 0, kLogBytes}};
  int64_t dropped_ = 0;
};

}  // namespace longspan::worker
