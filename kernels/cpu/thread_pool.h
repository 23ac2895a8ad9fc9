// A fixed set of threads that run the items of one loop at a time.
//
//   pool.ParallelFor(heads, [&](int64_t head, int thread) { ... });
//
// The calling thread takes part as thread 0, so a pool of one thread starts
// none and calls the body directly. Items are claimed in increasing order by
// whichever thread is free: a body may not let its results depend on `thread`,
// which is below both threads() and the number of items, and only selects
// scratch memory.
//
// One thread at a time may call ParallelFor, and not from inside a body.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "common/base/mutex.h"

namespace longspan::kernels {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // >= 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(index, thread) for every index in [0, count) and returns when
  // all calls have returned. The body must not throw.
  template <typename Body>
  void ParallelFor(int64_t count, Body&& body) {
    if (workers_.empty() || count <= 1) {
      for (int64_t i = 0; i < count; ++i) body(i, 0);
      return;
    }
    using Decayed = std::remove_reference_t<Body>;
    Run(
        count,
        [](void* context, int64_t index, int thread) {
          (*static_cast<Decayed*>(context))(index, thread);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* context, int64_t index, int thread);

  void Run(int64_t count, Call call, void* context);
  void RunItems(int thread);
  void WorkerLoop(int thread);

  // Written by Run before the workers are woken, read by them until the last
  // one has reported back.
  int64_t count_ = 0;
  Call call_ = nullptr;
  void* context_ = nullptr;
  std::atomic<int64_t> next_{0};

  Mutex mu_;
  CondVar wake_;
  CondVar done_;
  // Guarded by mu_.
  int64_t loop_number_ GUARDED_BY(mu_) = 0;
  int busy_workers_ GUARDED_BY(mu_) = 0;
  bool stopping_ GUARDED_BY(mu_) = false;

  // Immutable after construction.
  std::vector<std::thread> workers_;
};

}  // namespace longspan::kernels
