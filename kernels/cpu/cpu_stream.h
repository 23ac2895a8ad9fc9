// The CPU backend's stream: a thread pool on which each op runs to its end
// before the call returns.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/stream.h"
#include "kernels/cpu/thread_pool.h"

namespace longspan::kernels {

class CpuStream : public Stream {
 public:
  explicit CpuStream(int threads) : pool_(threads) {}

  absl::Status Synchronize() override { return absl::OkStatus(); }

  ThreadPool& pool() { return pool_; }

  // The pool behind a stream that the CPU backend created; a stream of another
  // backend is a broken invariant.
  static ThreadPool& PoolOf(Stream& stream);

 private:
  ThreadPool pool_;
};

}  // namespace longspan::kernels
