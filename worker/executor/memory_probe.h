// What the operating system says about this process's memory.
//
//   probe.Restart();            // just before the model is built
//   ... probe.used(), probe.peak()
//
// Both count from the resident size at construction or the last Restart
// (VmRSS), so they compare with the planner's prediction. The peak is VmHWM,
// whose record is cleared then where the kernel allows it.
#pragma once

#include <atomic>
#include <cstdint>

#include "kernels/api/device_memory.h"

namespace longspan::worker {

class MemoryProbe {
 public:
  MemoryProbe() { Restart(); }

  void Restart();

  // From now on, what the backend has allocated, if that is not host memory.
  // `memory` must outlive the probe or a Watch(nullptr).
  void Watch(const kernels::DeviceMemory* memory);

  int64_t used() const;  // bytes, at least 0
  int64_t peak() const;

 private:
  int64_t before_ = 0;
  std::atomic<const kernels::DeviceMemory*> device_{nullptr};
};

// Makes the allocator's share of resident memory follow what is in use: large
// blocks go back to the system at once, few arenas. Call it first in main.
void KeepHeapCompact();

}  // namespace longspan::worker
