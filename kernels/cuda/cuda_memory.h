// Device memory of the CUDA backend: a pool over cudaMalloc.
//
// Freed blocks are kept and given out again for requests of the same rounded
// size, because cudaMalloc and cudaFree wait for the whole device; all of them
// are returned to the device when it has no memory left. used_bytes() and
// high_water_bytes() count what callers hold, without rounding.
#pragma once

#include <cstdint>
#include <map>

#include "common/base/mutex.h"
#include "common/base/thread_annotations.h"
#include "kernels/api/device_memory.h"

namespace longspan::kernels::cuda {

class CudaMemory : public DeviceMemory {
 public:
  CudaMemory(int device, int64_t total_bytes)
      : device_(device), total_bytes_(total_bytes) {}
  ~CudaMemory() override;

  absl::StatusOr<void*> Allocate(int64_t bytes) override;
  void Free(void* data, int64_t bytes) override;
  absl::Status CopyToDevice(const void* host, void* device, int64_t bytes,
                            Stream& stream) override;
  absl::Status CopyToHost(const void* device, void* host, int64_t bytes,
                          Stream& stream) override;
  absl::Status Copy(const void* from, void* to, int64_t bytes,
                    Stream& stream) override;
  bool host_accessible() const override { return false; }
  int64_t used_bytes() const override;
  int64_t high_water_bytes() const override;
  int64_t total_bytes() const override { return total_bytes_; }

  // Kept for later requests.
  int64_t pooled_bytes() const;

 private:
  absl::StatusOr<void*> Take(int64_t rounded) REQUIRES(mu_);
  void ReleasePool() REQUIRES(mu_);

  // Immutable after construction.
  const int device_;
  const int64_t total_bytes_;

  mutable Mutex mu_;
  // Guarded by mu_. Rounded size -> block.
  std::multimap<int64_t, void*> pool_ GUARDED_BY(mu_);
  int64_t used_bytes_ GUARDED_BY(mu_) = 0;
  int64_t high_water_bytes_ GUARDED_BY(mu_) = 0;
};

}  // namespace longspan::kernels::cuda
