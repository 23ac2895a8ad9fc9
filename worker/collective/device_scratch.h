// A block of device memory that grows to the largest request and is kept.
// Internal to nccl_group.
//
// Users of one stream may share a block without waiting for each other: the
// stream orders them.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/api/device_memory.h"
#include "kernels/api/stream.h"

namespace longspan::worker {

class DeviceScratch {
 public:
  // Both must outlive the block.
  DeviceScratch(kernels::DeviceMemory* memory, kernels::Stream* stream)
      : memory_(memory), stream_(stream) {}
  ~DeviceScratch() {
    if (data_ != nullptr) memory_->Free(data_, bytes_);
  }
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;

  // At least `bytes`, of any content. Synchronises the stream if it grows.
  absl::StatusOr<char*> Take(int64_t bytes);

 private:
  kernels::DeviceMemory* const memory_;
  kernels::Stream* const stream_;
  char* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace longspan::worker
