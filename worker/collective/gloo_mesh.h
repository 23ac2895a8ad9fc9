// The connections of one rank to all others of its group, and their health.
// Internal to gloo_group.
//
// A mesh is whole until the first failure, which breaks it for good: all
// exchanges in flight are woken with that error and the connections are
// closed. A watcher thread keeps a receive posted for every peer, to learn of
// a peer's death even when Gloo forgets to wake the exchange (it does when the
// peer dies in the middle of a message).
//
// Thread-safe, except that one thread at a time creates exchanges.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "worker/collective/gloo_group.h"
#include "worker/collective/rendezvous_store.h"

namespace gloo {
class Context;
namespace transport {
class UnboundBuffer;
}  // namespace transport
}  // namespace gloo

namespace longspan::worker {

class SharedLanes;

// Slots are Gloo's message tags: unique per ordered pair of ranks.
using GlooSlot = uint64_t;

class GlooMesh {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Connects and proves the secret. A group of one rank has no connections.
  static absl::StatusOr<std::unique_ptr<GlooMesh>> Connect(
      const GlooGroupOptions& options, RendezvousStore& store);
  ~GlooMesh();
  GlooMesh(const GlooMesh&) = delete;
  GlooMesh& operator=(const GlooMesh&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // OK while the mesh is whole; then the first error.
  absl::Status health() const;

  bool is_broken() const { return is_broken_.load(); }

  // Null unless all ranks share a host.
  SharedLanes* lanes() const { return lanes_.get(); }

  // The first call decides the error; later ones change nothing.
  void Break(absl::Status reason);

  // A buffer that spans the whole address space: operations name absolute
  // addresses as offsets, so one buffer serves all messages of an exchange.
  std::unique_ptr<gloo::transport::UnboundBuffer> NewBuffer() const;

  // From Add to Remove a Break() wakes waits on the buffer. `deadline` is when
  // such a wait gives up. Add returns health(): on error nothing was added.
  absl::Status Add(gloo::transport::UnboundBuffer* buffer, TimePoint deadline);
  void Remove(gloo::transport::UnboundBuffer* buffer);

  // A peer whose connection is gone, or -1.
  int FindLostPeer() const;

 private:
  GlooMesh(int rank, int size);

  absl::Status ConnectAll(const GlooGroupOptions& options,
                          RendezvousStore& store, absl::Duration timeout);
  void Watch();
  void WatchPeers(gloo::transport::UnboundBuffer* buffer);
  void AwaitExplanation();
  bool AnyDeadlinePassed() const REQUIRES(mu_);
  void SayGoodbye();

  // Immutable after construction.
  const int rank_;
  const int size_;
  // Where goodbyes are received: while a connection is open, one may still
  // come, also after the watcher has given up. One byte per rank.
  std::vector<char> goodbye_bytes_;
  std::shared_ptr<gloo::Context> context_;
  std::unique_ptr<SharedLanes> lanes_;
  std::thread watcher_;

  std::atomic<bool> is_broken_ = false;

  mutable Mutex mu_;
  CondVar changed_;  // one more goodbye, or broken
  absl::Status broken_ GUARDED_BY(mu_);
  int goodbyes_ GUARDED_BY(mu_) = 0;  // received
  std::map<gloo::transport::UnboundBuffer*, TimePoint> buffers_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
