// A block of a backend's memory: zero at first, given back at the end.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/api/device_memory.h"

namespace longspan::worker {

// Owns one allocation. Movable, not copyable. The memory must outlive it, and
// the ops that use it must have finished before it goes.
class DeviceBuffer {
 public:
  // kResourceExhausted, with the size, when there is too little.
  static absl::StatusOr<DeviceBuffer> Allocate(kernels::DeviceMemory& memory,
                                               int64_t bytes);

  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  DeviceBuffer(kernels::DeviceMemory* memory, void* data, int64_t bytes)
      : memory_(memory), data_(data), bytes_(bytes) {}

  kernels::DeviceMemory* memory_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace longspan::worker
