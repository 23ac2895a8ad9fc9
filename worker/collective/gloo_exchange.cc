#include "worker/collective/gloo_exchange.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "gloo/transport/unbound_buffer.h"
#include "worker/collective/gloo_status.h"

namespace longspan::worker {
namespace {

using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

}  // namespace

GlooExchange::GlooExchange(GlooMesh* mesh, std::string what,
                           SteadyClock::time_point deadline)
    : mesh_(mesh),
      what_(std::move(what)),
      deadline_(deadline),
      sends_(mesh->size()),
      receives_(mesh->size()),
      status_(mesh->health()) {}

GlooExchange::~GlooExchange() { Detach(); }

// Gloo drops what is still pending on a buffer that is gone.
void GlooExchange::Detach() {
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
  status_ = mesh_->Add(buffer.get());
  if (!status_.ok()) return nullptr;
  lane->buffer = std::move(buffer);
  return lane;
}

void GlooExchange::Send(int to, GlooSlot slot, const void* data,
                        int64_t bytes) {
  Lane* lane = bytes > 0 ? OpenLane(&sends_, to) : nullptr;
  if (lane == nullptr) return;
  const auto offset = reinterpret_cast<uintptr_t>(data);
  const absl::Status posted =
      CatchGloo(what_, [&] { lane->buffer->send(to, slot, offset, bytes); });
  if (!posted.ok()) {
    status_ = Explain(posted);
    return;
  }
  ++lane->pending;
  bytes_sent_ += bytes;
}

void GlooExchange::Receive(int from, GlooSlot slot, void* data, int64_t bytes) {
  Lane* lane = bytes > 0 ? OpenLane(&receives_, from) : nullptr;
  if (lane == nullptr) return;
  const auto offset = reinterpret_cast<uintptr_t>(data);
  const absl::Status posted =
      CatchGloo(what_, [&] { lane->buffer->recv(from, slot, offset, bytes); });
  if (!posted.ok()) {
    status_ = Explain(posted);
    return;
  }
  ++lane->pending;
  bytes_received_ += bytes;
}

absl::Status GlooExchange::Wait() {
  if (status_.ok()) status_ = WaitForAll();
  Detach();
  return status_;
}

absl::Status GlooExchange::WaitForAll() {
  for (Lane& lane : receives_) {
    while (lane.pending > 0) RETURN_IF_ERROR(WaitForOne(&lane, false));
  }
  for (Lane& lane : sends_) {
    while (lane.pending > 0) RETURN_IF_ERROR(WaitForOne(&lane, true));
  }
  return absl::OkStatus();
}

absl::Status GlooExchange::WaitForOne(Lane* lane, bool sending) {
  const auto remaining =
      std::chrono::duration_cast<Milliseconds>(deadline_ - SteadyClock::now());
  const auto timeout = std::max(remaining, Milliseconds(1));
  bool completed = false;
  const absl::Status status = CatchGloo(what_, [&] {
    completed = sending ? lane->buffer->waitSend(timeout)
                        : lane->buffer->waitRecv(timeout);
  });
  if (!status.ok()) return Explain(status);
  if (!completed) return mesh_->health();  // woken by Break()
  --lane->pending;
  return absl::OkStatus();
}

// The first error of the mesh; if that is this failure, in our own words.
absl::Status GlooExchange::Explain(const absl::Status& failure) const {
  const std::string where =
      absl::StrCat("rank ", mesh_->rank(), " of ", mesh_->size(), ": ", what_);
  absl::Status reason;
  if (SteadyClock::now() >= deadline_) {
    reason = absl::DeadlineExceededError(
        absl::StrCat(where, ": deadline passed waiting for", PendingPeers()));
  } else {
    reason = absl::UnavailableError(
        absl::StrCat(where, ": lost rank ", mesh_->FindLostPeer(), " (",
                     std::string(failure.message()), ")"));
  }
  mesh_->Break(reason);
  return mesh_->health();
}

std::string GlooExchange::PendingPeers() const {
  std::string peers;
  int count = 0;
  for (int r = 0; r < mesh_->size(); ++r) {
    if (receives_[r].pending + sends_[r].pending == 0) continue;
    absl::StrAppend(&peers, " ", r);
    ++count;
  }
  return absl::StrCat(" rank", count > 1 ? "s" : "", peers);
}

}  // namespace longspan::worker
