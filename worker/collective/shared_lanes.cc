#include "worker/collective/shared_lanes.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace longspan::worker {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Waiting ranks look at their rings for this long before they sleep: waking up
// costs tens of microseconds. With more ranks than cores the core belongs to
// the rank that is waited for.
constexpr std::chrono::microseconds kSpin(200);
constexpr int kLooksPerClock = 32;

// A sleeper looks around at least this often; nothing depends on it.
constexpr int kLongestSleepMs = 100;

std::chrono::microseconds SpinTime(int ranks) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  return ranks <= CPU_COUNT(&cores) ? kSpin : std::chrono::microseconds(0);
}

void Relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

SharedLanes::SharedLanes(int rank, int size,
                         std::unique_ptr<SharedSegment> segment)
    : rank_(rank),
      size_(size),
      segment_(std::move(segment)),
      spin_(SpinTime(size)),
      lanes_(size) {
  for (int peer = 0; peer < size; ++peer) {
    if (peer == rank) continue;
    lanes_[peer].out = segment_->ring(rank, peer);
    lanes_[peer].in = segment_->ring(peer, rank);
  }
  segment_->Touch(rank);
}

void SharedLanes::Send(int to, uint64_t slot, const void* data, int64_t bytes,
                       int* pending) {
  ++*pending;
  lanes_[to].outgoing.push_back(
      {{slot, bytes}, static_cast<const char*>(data), 0, pending});
  PumpOut(to);
}

void SharedLanes::Receive(int from, uint64_t slot, void* data, int64_t bytes,
                          int* pending) {
  Lane& lane = lanes_[from];
  const auto early = lane.early.find(slot);
  if (early == lane.early.end()) {
    ++*pending;
    lane.posted[slot] = {static_cast<char*>(data), bytes, pending};
    return;
  }
  CheckSize(from, static_cast<int64_t>(early->second.size()), bytes);
  if (error_.ok()) std::memcpy(data, early->second.data(), bytes);
  lane.early.erase(early);
}

void SharedLanes::CheckSize(int peer, int64_t sent, int64_t expected) {
  if (sent == expected || !error_.ok()) return;
  error_ = absl::InvalidArgumentError(
      absl::StrCat("rank ", peer, " sends ", sent, " bytes where rank ", rank_,
                   " expects ", expected));
}

void SharedLanes::Forget(const int* pending) {
  for (Lane& lane : lanes_) {
    std::erase_if(lane.outgoing, [=](const Outgoing& message) {
      return message.pending == pending;
    });
    std::erase_if(lane.posted, [=](const auto& entry) {
      return entry.second.pending == pending;
    });
  }
}

int SharedLanes::OutstandingPeer(const int* pending) const {
  for (int peer = 0; peer < size_; ++peer) {
    for (const auto& [slot, posted] : lanes_[peer].posted) {
      if (posted.pending == pending) return peer;
    }
    for (const Outgoing& message : lanes_[peer].outgoing) {
      if (message.pending == pending) return peer;
    }
  }
  return -1;
}

void SharedLanes::Wake() {
  Doorbell* bell = segment_->doorbell(rank_);
  bell->sleeping.store(1);  // ring whether or not it sleeps
  segment_->Ring(rank_);
}

absl::Status SharedLanes::Wait(const int* pending, TimePoint deadline,
                               const std::function<bool()>& broken) {
  SteadyClock::time_point now = SteadyClock::now();
  SteadyClock::time_point sleepy = now + spin_;
  while (error_.ok() && *pending > 0 && !broken() && now < deadline) {
    bool moved = false;
    for (int look = 0; look<kLooksPerClock&& * pending> 0; ++look) {
      moved = Pump() || moved;
      Relax();
    }
    now = SteadyClock::now();
    if (moved) {
      sleepy = now + spin_;
    } else if (now >= sleepy) {
      Sleep(deadline, broken);
    }
  }
  return error_;
}

void SharedLanes::Sleep(TimePoint deadline,
                        const std::function<bool()>& broken) {
  Doorbell* bell = segment_->doorbell(rank_);
  const uint32_t seen = bell->rings.load();
  bell->sleeping.store(1);
  // A peer either sees that we sleep, or we see what it has moved.
  if (!Pump() && !broken()) {
    const auto remaining = std::chrono::ceil<std::chrono::milliseconds>(
        deadline - SteadyClock::now());
    const int64_t limit = kLongestSleepMs;
    segment_->Sleep(
        rank_, seen,
        static_cast<int>(std::clamp<int64_t>(remaining.count(), 0, limit)));
  }
  bell->sleeping.store(0);
}

bool SharedLanes::Pump() {
  bool moved = false;
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    moved = PumpOut(peer) || moved;
    moved = PumpIn(peer) || moved;
  }
  return moved;
}

bool SharedLanes::PumpOut(int peer) {
  Lane& lane = lanes_[peer];
  constexpr int64_t kHeader = sizeof(Header);
  bool moved = false;
  while (!lane.outgoing.empty()) {
    Outgoing& message = lane.outgoing.front();
    const int64_t before = message.done;
    if (message.done < kHeader) {
      const auto* header = reinterpret_cast<const char*>(&message.header);
      message.done +=
          WriteToRing(lane.out, header + message.done, kHeader - message.done);
    }
    if (message.done >= kHeader) {
      const int64_t sent = message.done - kHeader;
      message.done += WriteToRing(lane.out, message.data + sent,
                                  message.header.bytes - sent);
    }
    moved = moved || message.done > before;
    if (message.done < kHeader + message.header.bytes) break;
    --*message.pending;
    lane.outgoing.pop_front();
  }
  if (moved) segment_->Ring(peer);
  return moved;
}

bool SharedLanes::PumpIn(int peer) {
  const Lane& lane = lanes_[peer];
  bool moved = false;
  while (error_.ok() &&
         (lane.arriving ? ContinueArrival(peer) : BeginArrival(peer))) {
    moved = true;
  }
  if (moved) segment_->Ring(peer);  // there is room again
  return moved;
}

bool SharedLanes::BeginArrival(int peer) {
  Lane& lane = lanes_[peer];
  if (ReadableBytes(*lane.in) < static_cast<int64_t>(sizeof(Header))) {
    return false;
  }
  ReadFromRing(lane.in, &lane.header, sizeof(Header));
  lane.arriving = true;
  lane.done = 0;
  lane.aside.clear();
  const auto posted = lane.posted.find(lane.header.slot);
  if (posted == lane.posted.end()) {
    lane.aside.resize(lane.header.bytes);
  } else {
    CheckSize(peer, lane.header.bytes, posted->second.bytes);
  }
  return true;
}

// Moves what has come; the end of a message counts as moved.
bool SharedLanes::ContinueArrival(int peer) {
  Lane& lane = lanes_[peer];
  const auto posted = lane.posted.find(lane.header.slot);
  const bool wanted = posted != lane.posted.end();
  const bool in_place = lane.aside.empty();
  // Its owner gave up while it arrived: the group is broken.
  if (in_place && !wanted) return false;
  char* const to = in_place ? posted->second.data : lane.aside.data();
  const int64_t count =
      ReadFromRing(lane.in, to + lane.done, lane.header.bytes - lane.done);
  lane.done += count;
  if (lane.done < lane.header.bytes) return count > 0;
  lane.arriving = false;
  if (!wanted) {
    lane.early[lane.header.slot] = std::move(lane.aside);
    return true;
  }
  if (!in_place) {  // posted while it arrived
    CheckSize(peer, lane.done, posted->second.bytes);
    if (!error_.ok()) return false;
    std::memcpy(posted->second.data, lane.aside.data(), lane.done);
  }
  --*posted->second.pending;
  lane.posted.erase(posted);
  return true;
}

}  // namespace longspan::worker
