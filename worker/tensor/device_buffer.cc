#include "worker/tensor/device_buffer.h"

#include <utility>

#include "common/base/status_macros.h"

namespace longspan::worker {

absl::StatusOr<DeviceBuffer> DeviceBuffer::Allocate(
    kernels::DeviceMemory& memory, int64_t bytes) {
  ASSIGN_OR_RETURN(void* data, memory.Allocate(bytes));
  return DeviceBuffer(&memory, data, bytes);
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : memory_(other.memory_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) memory_->Free(data_, bytes_);
}

}  // namespace longspan::worker
