// A stream like a GPU's, on the host: a thread that runs what it is given, in
// order, later. What a program forgets to wait for, it does not see.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "common/base/mutex.h"
#include "kernels/api/stream.h"

namespace longspan::testing {

class QueuedStream : public kernels::Stream {
 public:
  using Task = std::function<absl::Status()>;

  QueuedStream();
  // Finishes what it was given.
  ~QueuedStream() override;

  void Submit(Task task);

  absl::Status Synchronize() override;
  absl::Status WaitFor(kernels::Stream& other) override;
  absl::StatusOr<std::unique_ptr<kernels::Event>> Record() override;
  absl::Status WaitFor(const kernels::Event& event) override;
  void* native_handle() override { return this; }

 private:
  void Run();

  Mutex mu_;
  CondVar changed_;
  bool ending_ GUARDED_BY(mu_) = false;
  bool running_ GUARDED_BY(mu_) = false;
  std::deque<Task> tasks_ GUARDED_BY(mu_);
  absl::Status failure_ GUARDED_BY(mu_);  // the first

  std::thread thread_;  // uses all of the above
};

}  // namespace longspan::testing

// The hook of the fake NCCL (tests/support/fake_nccl/README.md).
extern "C" void longspan_emulated_enqueue(void* stream, void (*run)(void*),
                                          void* context);
