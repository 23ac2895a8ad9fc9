#include "worker/collective/gloo_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "gloo/transport/unbound_buffer.h"
#include "worker/collective/gloo_status.h"
#include "worker/collective/shared_lanes.h"

namespace longspan::worker {
namespace {

using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

}  // namespace

GlooExchange::GlooExchange(GlooMesh* mesh, std::string what,
                           GlooMesh::TimePoint deadline, SharedLanes* lanes)
    : mesh_(mesh),
      what_(std::move(what)),
      deadline_(deadline),
      lanes_(lanes),
      sends_(mesh->size()),
      receives_(mesh->size()),
      status_(mesh->health()) {}

GlooExchange::~GlooExchange() { Detach(); }

// Gloo drops what is still pending on a buffer that is gone.
void GlooExchange::Detach() {
  if (shared_pending_ > 0) lanes_->Forget(&shared_pending_);
  shared_pending_ = 0;
  for (std::vector<Lane>* lanes : {&sends_, &receives_}) {
    for (Lane& lane : *lanes) {
      if (lane.buffer != nullptr) mesh_->Remove(lane.buffer.get());
      lane.buffer.reset();
    }
  }
}

// Null once the exchange has failed.
GlooExchange::Lane* GlooExchange::OpenLane(std::vector<Lane>* lanes, int peer) {
  if (!status_.ok()) return nullptr;
  Lane* lane = &(*lanes)[peer];
  if (lane->buffer != nullptr) return lane;
  Buffer buffer = mesh_->NewBuffer();
  status_ = mesh_->Add(buffer.get(), deadline_);
  if (!status_.ok()) return nullptr;
  lane->buffer = std::move(buffer);
  return lane;
}

bool GlooExchange::UsesLane(int64_t bytes) const {
  return lanes_ != nullptr && bytes <= SharedLanes::kLargestMessage;
}

void GlooExchange::Send(int to, GlooSlot slot, const void* data,
                        int64_t bytes) {
  if (bytes > 0 && status_.ok() && UsesLane(bytes)) {
    lanes_->Send(to, slot, data, bytes, &shared_pending_);
    bytes_sent_ += bytes;
    return;
  }
  Lane* lane = bytes > 0 ? OpenLane(&sends_, to) : nullptr;
  if (lane == nullptr) return;
  const auto offset = reinterpret_cast<uintptr_t>(data);
  const absl::Status posted =
      CatchGloo(what_, [&] { lane->buffer->send(to, slot, offset, bytes); });
  if (!posted.ok()) {
    status_ = Explain(posted, to);
    return;
  }
  ++lane->pending;
  bytes_sent_ += bytes;
}

void GlooExchange::Receive(int from, GlooSlot slot, void* data, int64_t bytes) {
  if (bytes > 0 && status_.ok() && UsesLane(bytes)) {
    lanes_->Receive(from, slot, data, bytes, &shared_pending_);
    bytes_received_ += bytes;
    return;
  }
  Lane* lane = bytes > 0 ? OpenLane(&receives_, from) : nullptr;
  if (lane == nullptr) return;
  const auto offset = reinterpret_cast<uintptr_t>(data);
  const absl::Status posted =
      CatchGloo(what_, [&] { lane->buffer->recv(from, slot, offset, bytes); });
  if (!posted.ok()) {
    status_ = Explain(posted, from);
    return;
  }
  ++lane->pending;
  bytes_received_ += bytes;
}

absl::Status GlooExchange::Wait() {
  if (status_.ok()) status_ = WaitForLanes();
  if (status_.ok()) status_ = WaitForAll();
  Detach();
  return status_;
}

absl::Status GlooExchange::WaitForLanes() {
  if (lanes_ == nullptr) return absl::OkStatus();
  const absl::Status status = lanes_->Wait(
      &shared_pending_, deadline_, [this] { return mesh_->is_broken(); });
  if (status.ok() && shared_pending_ == 0) return status;
  if (!mesh_->is_broken()) {
    return Explain(status, lanes_->OutstandingPeer(&shared_pending_));
  }
  return mesh_->health();
}

absl::Status GlooExchange::WaitForAll() {
  for (const bool sending : {false, true}) {
    for (int peer = 0; peer < mesh_->size(); ++peer) {
      Lane& lane = (sending ? sends_ : receives_)[peer];
      for (; lane.pending > 0; --lane.pending) {
        RETURN_IF_ERROR(WaitForOne(lane.buffer.get(), sending, peer));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status GlooExchange::WaitForOne(gloo::transport::UnboundBuffer* buffer,
                                      bool sending, int peer) {
  const auto remaining =
      std::chrono::ceil<Milliseconds>(deadline_ - SteadyClock::now());
  const auto timeout = std::max(remaining, Milliseconds(1));
  bool completed = false;
  const absl::Status status = CatchGloo(what_, [&] {
    completed = sending ? buffer->waitSend(timeout) : buffer->waitRecv(timeout);
  });
  if (!status.ok()) return Explain(status, peer);
  return completed ? status : mesh_->health();  // or woken by Break()
}

// The first error of the mesh; if that is this failure, in our own words.
absl::Status GlooExchange::Explain(const absl::Status& failure,
                                   int peer) const {
  const std::string where =
      absl::StrCat("rank ", mesh_->rank(), " of ", mesh_->size(), ": ", what_);
  absl::Status reason;
  if (absl::IsInvalidArgument(failure)) {
    reason = absl::InvalidArgumentError(
        absl::StrCat(where, ": ", std::string(failure.message())));
  } else if (SteadyClock::now() >= deadline_) {
    reason = absl::DeadlineExceededError(
        absl::StrCat(where, ": deadline passed waiting for rank ", peer));
  } else {
    reason = absl::UnavailableError(
        absl::StrCat(where, ": lost rank ", mesh_->FindLostPeer(), " (",
                     std::string(failure.message()), ")"));
  }
  mesh_->Break(reason);
  return mesh_->health();
}

}  // namespace longspan::worker
