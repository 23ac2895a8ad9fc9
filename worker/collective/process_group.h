// A process group: the collectives of some or all ranks of a job.
//
// Every rank calls the same collectives in the same order with matching sizes.
// A call starts the transfer and returns a Work; Wait() completes it. Several
// works may be in flight; they may be waited for in any order. Buffers belong
// to the caller and must stay valid and untouched until Wait() returns.
//
// Every collective has a deadline. After a failure, a deadline or Abort() the
// group is broken: all pending and later calls return the first error, and the
// caller leaves the attempt. Errors name rank, peer where known, operation and
// sizes: kAborted (Abort), kDeadlineExceeded, kUnavailable (peer gone),
// kInvalidArgument (sizes that do not fit).
//
// Order. With a stream `after`, operands are memory of the backend that made
// the stream: a collective sees what the stream had been given before the call,
// and ops that are submitted to the stream after Wait() see its result. Groups
// of CPU ranks synchronise `after` during the call and block in Wait(); NCCL
// only orders streams, so Wait() does not block and results hold if the
// stream's next synchronisation and a later call on the group succeed
// (nccl_group.h). Without a stream operands are host memory on every kind of
// group, and hold the result when Wait() returns.
//
// Reductions add in rank order, so results depend on rank numbers only and are
// bit-identical on all ranks. A group of size 1 moves nothing.
//
// Threads: one thread issues and waits; Abort() may be called from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"

namespace longspan::worker {

// What a transfer is for: the key of the byte counters.
enum class Traffic : uint8_t {
  kStateExchange,    // memory states of linear layers
  kHeadExchange,     // rows between layouts by tokens and by heads
  kRowExchange,      // rows that make the memory states of other ranks
  kKvExchange,       // keys and values (and their gradients) of softmax layers
  kConvolutionHalo,  // border tokens of short convolutions
  kGradientSync,     // parameter gradients
  kControl           // norms, losses, digests, barriers
};
enum class Direction : uint8_t { kForward, kBackward, kNone };

struct TrafficTag {
  Traffic traffic = Traffic::kControl;
  Direction direction = Direction::kNone;
  int layer = -1;  // -1: not of a layer

  friend bool operator<(const TrafficTag& a, const TrafficTag& b) {
    return std::tie(a.traffic, a.direction, a.layer) <
           std::tie(b.traffic, b.direction, b.layer);
  }
};

// Counted where bytes enter and leave the transport, payload only.
struct TransferCounts {
  int64_t launches = 0;
  int64_t bytes_sent = 0;
  int64_t bytes_received = 0;
  // How long the rank's thread stood in these calls and in their Wait(): what
  // the rank could not hide behind its work. It is known where the host waits:
  // for all traffic of CPU ranks, and on NCCL for host memory. Where a device
  // waits for a device (NCCL with a stream) it is absent, not zero.
  std::optional<absl::Duration> exposed_time;
};
using TransferCounters = std::map<TrafficTag, TransferCounts>;

class Work {
 public:
  virtual ~Work() = default;        // waits if Wait() was not called
  virtual absl::Status Wait() = 0;  // called again: the same answer
};

enum class Reduction { kSum, kMax };

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Rank r's `send` arrives in receive[r] of every rank. Sizes may differ
  // between ranks (and be zero) but receive[r] must have the size that rank r
  // sends. receive[rank()] may be the very memory of `send`; otherwise it is
  // copied. All views contiguous.
  virtual std::unique_ptr<Work> AllGather(
      kernels::ConstTensorView send,
      absl::Span<const kernels::TensorView> receive, TrafficTag tag,
      kernels::Stream* after = nullptr) = 0;

  // Rank r's send[q] arrives in receive[r] of rank q. Sizes may differ between
  // pairs (and be zero) but receive[r] must have the size of what rank r sends
  // here. receive[rank()] may be the very memory of send[rank()]; otherwise it
  // is copied. No other part of `send` may overlap `receive`. All views
  // contiguous.
  virtual std::unique_ptr<Work> AllToAll(
      absl::Span<const kernels::ConstTensorView> send,
      absl::Span<const kernels::TensorView> receive, TrafficTag tag,
      kernels::Stream* after = nullptr) = 0;

  // receive = sum over ranks r, in rank order, of r's send[rank()]. f32, f64;
  // on NCCL f32.
  virtual std::unique_ptr<Work> ReduceScatter(
      absl::Span<const kernels::ConstTensorView> send,
      kernels::TensorView receive, TrafficTag tag,
      kernels::Stream* after = nullptr) = 0;

  // In place; f32, f64 or i64; on NCCL with a stream sums of f32 only.
  virtual std::unique_ptr<Work> AllReduce(kernels::TensorView buffer,
                                          Reduction reduction, TrafficTag tag,
                                          kernels::Stream* after = nullptr) = 0;

  // Point to point, both optional (null view: nothing). `to` and `from` are
  // ranks.
  virtual std::unique_ptr<Work> SendReceive(
      kernels::ConstTensorView send, int to, kernels::TensorView receive,
      int from, TrafficTag tag, kernels::Stream* after = nullptr) = 0;

  absl::Status Barrier();

  // Breaks the group from any thread; blocked Wait()s return `reason` at once.
  virtual void Abort(absl::Status reason) = 0;

  // Deadline of every collective issued from now on.
  virtual void SetTimeout(absl::Duration timeout) = 0;

  virtual TransferCounters counters() const = 0;
};

}  // namespace longspan::worker
