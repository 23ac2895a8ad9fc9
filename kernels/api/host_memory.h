// The memory of backends whose ops run on the host: anonymous pages straight
// from the operating system, zero, counted as resident only where touched.
#pragma once

#include <atomic>

#include "kernels/api/device_memory.h"

namespace longspan::kernels {

class HostMemory : public DeviceMemory {
 public:
  absl::StatusOr<void*> Allocate(int64_t bytes) override;
  void Free(void* data, int64_t bytes) override;
  absl::Status CopyToDevice(const void* host, void* device, int64_t bytes,
                            Stream& stream) override;
  absl::Status CopyToHost(const void* device, void* host, int64_t bytes,
                          Stream& stream) override;
  absl::Status Copy(const void* from, void* to, int64_t bytes,
                    Stream& stream) override;
  bool host_accessible() const override { return true; }
  int64_t used_bytes() const override { return used_; }
  int64_t high_water_bytes() const override { return high_water_; }
  int64_t total_bytes() const override;

 private:
  std::atomic<int64_t> used_{0};
  std::atomic<int64_t> high_water_{0};
};

}  // namespace longspan::kernels
