// A stream: the order in which a backend runs the ops that it is given.
//
// Ops of one stream run in submission order; streams are independent. The CPU
// backend runs each op before the call returns, on the stream's thread pool;
// the CUDA backend enqueues. Not thread-safe: one thread submits to a stream.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan::kernels {

class Stream;

// A point in a stream.
class Event {
 public:
  virtual ~Event() = default;

  // True once everything that the stream had been given before Record() has
  // finished. Never blocks; from any thread. An error is the device's.
  virtual absl::StatusOr<bool> Passed() const = 0;
};

// A recorded sequence of ops that runs as one, on the operands whose addresses
// were recorded.
class Graph {
 public:
  virtual ~Graph() = default;

  virtual absl::Status Launch(Stream& stream) = 0;
};

// The defaults are those of streams whose ops have finished when the call
// returns.
class Stream {
 public:
  virtual ~Stream() = default;

  // Blocks until all submitted ops have finished; returns the first failure.
  virtual absl::Status Synchronize() = 0;

  // What is submitted here from now on starts after everything submitted to
  // `other` so far. Does not block.
  virtual absl::Status WaitFor(Stream& other);

  // The point that the stream has reached; and the same for a point of a
  // stream of this backend.
  virtual absl::StatusOr<std::unique_ptr<Event>> Record();
  virtual absl::Status WaitFor(const Event& event);

  // Between these two, ops are recorded instead of run; Synchronize and copies
  // to or from host memory are not allowed. An error in between, or
  // kUnimplemented where can_capture() is false, leaves nothing recorded.
  virtual bool can_capture() const { return false; }
  virtual absl::Status BeginCapture();
  virtual absl::StatusOr<std::unique_ptr<Graph>> EndCapture();

  // The device's own stream (cudaStream_t); null on the host.
  virtual void* native_handle() { return nullptr; }
};

}  // namespace longspan::kernels
