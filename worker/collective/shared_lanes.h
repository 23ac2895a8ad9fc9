// Messages between ranks of one host, through shared memory: what Gloo's TCP
// does in 50 microseconds takes a few here. Internal to gloo_group.
//
// A message is a slot, a size and its bytes, streamed through the ring of its
// pair. Nothing moves by itself: Pump() moves what can be moved, and waiting
// pumps for all exchanges. A message that arrives before its receive is posted
// is kept aside. Each message counts down the `pending` of its owner when its
// bytes are in the ring (sends) or in place (receives).
//
// One thread, except Wake().
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/collective/shared_segment.h"

namespace longspan::worker {

class SharedLanes {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Larger messages go over TCP: they move by themselves while ranks compute.
  static constexpr int64_t kLargestMessage = int64_t{1} << 20;

  SharedLanes(int rank, int size, std::unique_ptr<SharedSegment> segment);

  void Send(int to, uint64_t slot, const void* data, int64_t bytes,
            int* pending);
  void Receive(int from, uint64_t slot, void* data, int64_t bytes,
               int* pending);

  // Forgets the messages of an owner that gives up. The lanes are of no use
  // afterwards: a message may be half sent.
  void Forget(const int* pending);

  // Pumps until *pending is 0, `broken` says so, or the deadline: which of the
  // three is the caller's to see. InvalidArgument if a message had another
  // size than its receive.
  absl::Status Wait(const int* pending, TimePoint deadline,
                    const std::function<bool()>& broken);

  // A peer of which a message of this owner is outstanding, or -1.
  int OutstandingPeer(const int* pending) const;

  // Makes a Wait() look at `broken`, from any thread.
  void Wake();

 private:
  struct Header {
    uint64_t slot = 0;
    int64_t bytes = 0;
  };
  struct Outgoing {
    Header header;
    const char* data = nullptr;
    int64_t done = 0;  // of header and data together
    int* pending = nullptr;
  };
  struct Posted {
    char* data = nullptr;
    int64_t bytes = 0;
    int* pending = nullptr;
  };
  struct Lane {
    SharedRing* out = nullptr;
    SharedRing* in = nullptr;
    std::deque<Outgoing> outgoing;
    std::map<uint64_t, Posted> posted;            // by slot
    std::map<uint64_t, std::vector<char>> early;  // by slot, complete
    // The message that is arriving.
    bool arriving = false;
    Header header;
    int64_t done = 0;
    std::vector<char> aside;  // unless its receive was posted
  };

  bool Pump();
  bool PumpOut(int peer);
  bool PumpIn(int peer);
  bool BeginArrival(int peer);
  bool ContinueArrival(int peer);
  void CheckSize(int peer, int64_t sent, int64_t expected);
  void Sleep(TimePoint deadline, const std::function<bool()>& broken);

  // Immutable after construction.
  const int rank_;
  const int size_;
  const std::unique_ptr<SharedSegment> segment_;
  const std::chrono::microseconds spin_;

  std::vector<Lane> lanes_;  // by rank
  absl::Status error_;
};

}  // namespace longspan::worker
