#include "worker/agent/outgoing_queue.h"

#include <utility>

namespace longspan::worker {

OutgoingQueue::Lane& OutgoingQueue::LaneOf(Urgency urgency) {
  return lanes_[static_cast<int>(urgency)];
}

void OutgoingQueue::Push(Urgency urgency, v1::WorkerMessage message,
                         const std::string& replaces) {
  Lane& lane = LaneOf(urgency);
  const size_t bytes = message.ByteSizeLong();
  if (!replaces.empty()) {
    for (Entry& entry : lane.entries) {
      if (entry.replaces != replaces) continue;
      lane.bytes += bytes - entry.bytes;
      entry = {std::move(message), replaces, bytes};
      return;
    }
  }
  lane.entries.push_back({std::move(message), replaces, bytes});
  lane.bytes += bytes;
  Trim(&lane);
}

void OutgoingQueue::Trim(Lane* lane) {
  while (lane->limit > 0 && lane->bytes > lane->limit &&
         lane->entries.size() > 1) {
    lane->bytes -= lane->entries.front().bytes;
    lane->entries.pop_front();
    ++dropped_;
  }
}

std::optional<v1::WorkerMessage> OutgoingQueue::Pop() {
  for (Lane& lane : lanes_) {
    if (lane.entries.empty()) continue;
    v1::WorkerMessage message = std::move(lane.entries.front().message);
    lane.bytes -= lane.entries.front().bytes;
    lane.entries.pop_front();
    return message;
  }
  return std::nullopt;
}

void OutgoingQueue::StartSession() {
  for (const Urgency urgency : {Urgency::kLease, Urgency::kControl}) {
    LaneOf(urgency) = Lane();
  }
}

bool OutgoingQueue::empty() const {
  for (const Lane& lane : lanes_) {
    if (!lane.entries.empty()) return false;
  }
  return true;
}

int64_t OutgoingQueue::TakeDropped() { return std::exchange(dropped_, 0); }

}  // namespace longspan::worker
