#include "worker/collective/gloo_mesh.h"

#include <signal.h>

#include <chrono>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "gloo/context.h"
#include "gloo/transport/unbound_buffer.h"
#include "worker/collective/gloo_exchange.h"
#include "worker/collective/gloo_handshake.h"
#include "worker/collective/gloo_rendezvous.h"
#include "worker/collective/gloo_status.h"
#include "worker/collective/share_memory.h"
#include "worker/collective/shared_lanes.h"

namespace longspan::worker {
namespace {

using SteadyClock = std::chrono::steady_clock;
using gloo::transport::UnboundBuffer;

constexpr GlooSlot kGoodbyeSlot = 3;
constexpr GlooSlot kProbeSlot = 4;
constexpr absl::Duration kGoodbyePatience = absl::Seconds(2);

// Gloo writes to sockets without MSG_NOSIGNAL: a peer that dies would take
// this process with it.
void IgnoreBrokenPipes() {
  struct sigaction current = {};
  sigaction(SIGPIPE, nullptr, &current);
  if (current.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

GlooMesh::TimePoint After(absl::Duration duration) {
  return SteadyClock::now() + absl::ToChronoNanoseconds(duration);
}

}  // namespace

GlooMesh::GlooMesh(int rank, int size)
    : rank_(rank), size_(size), goodbye_bytes_(size) {}

absl::StatusOr<std::unique_ptr<GlooMesh>> GlooMesh::Connect(
    const GlooGroupOptions& options, RendezvousStore& store) {
  IgnoreBrokenPipes();
  std::unique_ptr<GlooMesh> mesh(new GlooMesh(options.rank, options.size));
  if (options.size == 1) return mesh;
  const absl::Status connected =
      mesh->ConnectAll(options, store, options.connect_timeout);
  if (!connected.ok()) {
    mesh->Break(connected);  // no goodbye to strangers
    return connected;
  }
  mesh->watcher_ = std::thread([mesh = mesh.get()] { mesh->Watch(); });
  return mesh;
}

absl::Status GlooMesh::ConnectAll(const GlooGroupOptions& options,
                                  RendezvousStore& store,
                                  absl::Duration timeout) {
  const TimePoint deadline = After(timeout);
  ASSIGN_OR_RETURN(context_, ConnectGloo(options, store, timeout));
  RETURN_IF_ERROR(
      ProveSecret(this, options.secret, options.key_prefix, deadline));
  if (options.shared_memory) {
    ASSIGN_OR_RETURN(lanes_, ShareMemory(this, deadline));
  }
  return absl::OkStatus();
}

GlooMesh::~GlooMesh() {
  if (watcher_.joinable()) {
    if (health().ok()) SayGoodbye();
    {
      MutexLock lock(mu_);
      for (const auto& [buffer, deadline] : buffers_) buffer->abortWaitRecv();
    }
    watcher_.join();
  }
  CatchGloo("closing", [&] { context_.reset(); }).IgnoreError();
}

absl::Status GlooMesh::health() const {
  MutexLock lock(mu_);
  return broken_;
}

void GlooMesh::Break(absl::Status reason) {
  LONGSPAN_CHECK(!reason.ok()) << "a mesh breaks with an error";
  MutexLock lock(mu_);
  if (!broken_.ok()) return;
  broken_ = std::move(reason);
  is_broken_ = true;
  for (const auto& [buffer, deadline] : buffers_) {
    buffer->abortWaitRecv();
    buffer->abortWaitSend();
  }
  if (lanes_ != nullptr) lanes_->Wake();
  changed_.NotifyAll();
}

std::unique_ptr<UnboundBuffer> GlooMesh::NewBuffer() const {
  return context_->createUnboundBuffer(nullptr,
                                       std::numeric_limits<size_t>::max());
}

absl::Status GlooMesh::Add(UnboundBuffer* buffer, TimePoint deadline) {
  MutexLock lock(mu_);
  if (broken_.ok()) buffers_[buffer] = deadline;
  return broken_;
}

void GlooMesh::Remove(UnboundBuffer* buffer) {
  MutexLock lock(mu_);
  buffers_.erase(buffer);
}

int GlooMesh::FindLostPeer() const {
  const auto probe = NewBuffer();
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    const absl::Status posted =
        CatchGloo("probe", [&] { probe->recv(r, kProbeSlot, 0, 0); });
    if (!posted.ok()) return r;
  }
  return -1;
}

void GlooMesh::Watch() {
  const auto buffer = NewBuffer();
  if (Add(buffer.get(), TimePoint::max()).ok()) {
    const absl::Status status =
        CatchGloo("watching", [&] { WatchPeers(buffer.get()); });
    if (!status.ok()) {
      AwaitExplanation();
      Break(absl::UnavailableError(absl::StrCat(
          "rank ", rank_, " of ", size_, ": lost rank ", FindLostPeer(), " (",
          std::string(status.message()), ")")));
    }
    Remove(buffer.get());
  }
  if (!health().ok()) {
    CatchGloo("closing", [&] { context_->closeConnections(); }).IgnoreError();
  }
}

// An exchange that gives up makes Gloo close all pairs before it can say so
// itself: leave it the word for a moment.
void GlooMesh::AwaitExplanation() {
  const TimePoint patience = After(absl::Seconds(1));
  MutexLock lock(mu_);
  while (broken_.ok() && AnyDeadlinePassed()) {
    if (!changed_.WaitUntil(mu_, patience)) return;
  }
}

bool GlooMesh::AnyDeadlinePassed() const {
  const TimePoint now = SteadyClock::now();
  for (const auto& [buffer, deadline] : buffers_) {
    if (deadline <= now) return true;
  }
  return false;
}

// Returns when all peers have said goodbye or the buffer is woken; throws
// when a peer is lost.
void GlooMesh::WatchPeers(UnboundBuffer* buffer) {
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    const auto address = reinterpret_cast<uintptr_t>(&goodbye_bytes_[r]);
    buffer->recv(r, kGoodbyeSlot, address, 1);
  }
  for (int present = size_ - 1; present > 0; --present) {
    if (!buffer->waitRecv(std::chrono::hours(24 * 365))) return;
    MutexLock lock(mu_);
    ++goodbyes_;
    changed_.NotifyAll();
  }
}

void GlooMesh::SayGoodbye() {
  const TimePoint deadline = After(kGoodbyePatience);
  const char goodbye = 0;
  GlooExchange exchange(this, "saying goodbye", deadline);
  for (int r = 0; r < size_; ++r) {
    if (r != rank_) exchange.Send(r, kGoodbyeSlot, &goodbye, 1);
  }
  if (!exchange.Wait().ok()) return;
  MutexLock lock(mu_);
  while (broken_.ok() && goodbyes_ < size_ - 1) {
    if (!changed_.WaitUntil(mu_, deadline)) return;
  }
}

}  // namespace longspan::worker
