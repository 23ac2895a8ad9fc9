// Messages between this rank and others that complete together. Internal to
// gloo_group.
//
//   GlooExchange exchange(mesh, "AllGather for ...", deadline);
//   exchange.Receive(1, slot, to, bytes);
//   exchange.Send(1, slot, from, bytes);
//   RETURN_IF_ERROR(exchange.Wait());
//
// Memory must stay valid until Wait() has returned or the exchange is
// destroyed; after that nothing touches it. Messages without bytes are not
// sent. With `lanes` small messages go through shared memory instead of TCP.
// A failure breaks the mesh. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/collective/gloo_mesh.h"

namespace longspan::worker {

class GlooExchange {
 public:
  GlooExchange(GlooMesh* mesh, std::string what, GlooMesh::TimePoint deadline,
               SharedLanes* lanes = nullptr);
  ~GlooExchange();
  GlooExchange(const GlooExchange&) = delete;
  GlooExchange& operator=(const GlooExchange&) = delete;

  void Send(int to, GlooSlot slot, const void* data, int64_t bytes);
  void Receive(int from, GlooSlot slot, void* data, int64_t bytes);

  absl::Status Wait();

  // Handed to the transport so far.
  int64_t bytes_sent() const { return bytes_sent_; }
  int64_t bytes_received() const { return bytes_received_; }

 private:
  using Buffer = std::unique_ptr<gloo::transport::UnboundBuffer>;

  // The messages to or from one peer. A buffer each: a buffer that serves
  // several peers cannot tell whose message has completed.
  struct Lane {
    Buffer buffer;
    int pending = 0;
  };

  Lane* OpenLane(std::vector<Lane>* lanes, int peer);
  bool UsesLane(int64_t bytes) const;
  absl::Status WaitForLanes();
  absl::Status WaitForAll();
  absl::Status WaitForOne(gloo::transport::UnboundBuffer* buffer, bool sending,
                          int peer);
  absl::Status Explain(const absl::Status& failure, int peer) const;
  void Detach();

  GlooMesh* const mesh_;
  const std::string what_;
  const GlooMesh::TimePoint deadline_;
  SharedLanes* const lanes_;
  int shared_pending_ = 0;
  std::vector<Lane> sends_;     // by rank
  std::vector<Lane> receives_;  // by rank
  absl::Status status_;
  int64_t bytes_sent_ = 0;
  int64_t bytes_received_ = 0;
};

}  // namespace longspan::worker
