#include "kernels/cpu/thread_pool.h"

#include "common/base/check.h"

namespace longspan::kernels {

ThreadPool::ThreadPool(int threads) {
  LONGSPAN_CHECK_GE(threads, 1);
  workers_.reserve(threads - 1);
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this, i] { WorkerLoop(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(int64_t count, Call call, void* context) {
  {
    MutexLock lock(mu_);
    count_ = count;
    call_ = call;
    context_ = context;
    next_.store(0, std::memory_order_relaxed);
    busy_workers_ = static_cast<int>(workers_.size());
    ++loop_number_;
  }
  wake_.NotifyAll();
  RunItems(0);
  MutexLock lock(mu_);
  while (busy_workers_ > 0) done_.Wait(mu_);
}

void ThreadPool::RunItems(int thread) {
  if (thread >= count_) return;
  for (;;) {
    const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    call_(context_, index, thread);
  }
}

void ThreadPool::WorkerLoop(int thread) {
  int64_t finished_loops = 0;
  for (;;) {
    {
      MutexLock lock(mu_);
      while (!stopping_ && loop_number_ == finished_loops) wake_.Wait(mu_);
      if (stopping_) return;
      finished_loops = loop_number_;
    }
    RunItems(thread);
    MutexLock lock(mu_);
    if (--busy_workers_ == 0) done_.NotifyOne();
  }
}

}  // namespace longspan::kernels
