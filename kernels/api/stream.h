// A stream: the order in which a backend runs the ops that it is given.
//
// Ops of one stream run in submission order; streams are independent. The CPU
// backend runs each op before the call returns, on the stream's thread pool;
// the CUDA backend enqueues. Not thread-safe: one thread submits to a stream.
#pragma once

#include "absl/status/status.h"

namespace longspan::kernels {

class Stream {
 public:
  virtual ~Stream() = default;

  // Blocks until all submitted ops have finished; returns the first failure.
  virtual absl::Status Synchronize() = 0;
};

}  // namespace longspan::kernels
